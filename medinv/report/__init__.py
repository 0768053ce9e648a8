"""Renderers of a result: HTML, PDF, JSON and DICOM.

A renderer is one function of a `StudyResult`, its model's `Card` and the `Pictures` of the report,
which are made once and shared; it returns the bytes of a file. What it says of numbers stands in
`strings`, what follows from the result and the card in `derived`; it computes nothing itself. It
begins with `derived.presented(result)`, which takes out what may not be shown.

To add one, write that function and name it in `write.RENDERERS`, by the ending of its file:

    def render(result: StudyResult, card: Card, pictures: Pictures) -> bytes:
        shown = derived.presented(result)
        label = shown.called or strings.FLAG_OUT_OF_SCOPE
        return f"{strings.RESEARCH_USE}. {shown.study_uid}: {label}".encode()

    RENDERERS = {..., "txt": render}
"""
