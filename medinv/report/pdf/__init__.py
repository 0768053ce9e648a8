"""The report as PDF: `document.render`, and what stands on its pages."""
