"""Headings, names and units: words without a sentence."""

LANG = "en"

# What every result says
RESEARCH_USE = "Research use, not for diagnosis"
DISCLAIMER_LABEL = (
    "The label is the output of a research model. "
    "It is not a finding, and it is not a substitute for a reading by a radiologist."
)
DISCLAIMER_COUNTERFACTUAL = (
    "A counterfactual shows what this model would need to see to answer otherwise. "
    "It does not show what a healthy patient, or this patient, looks like."
)
DISCLAIMERS = (RESEARCH_USE, DISCLAIMER_LABEL, DISCLAIMER_COUNTERFACTUAL)

REGION, CHILD, PATIENT = "region", "child", "patient"

# Headings and labels
TITLE = "medinv report"
INDEX_TITLE = "medinv results"
STUDY, IMAGE, MODEL, NO_STUDY = "Study", "Image", "Model", "no study UID"
AT_A_GLANCE = "Checks of this result"
HOW_HEADING = "How the number came about"
NEAREST_HEADING = "Training cases most like it"
TRACE_HEADING = "Decoded from every depth"
CONTROLS_HEADING = "Controls"
SERIES_HEADING = "Series of this study"
SUBGROUPS = "Subgroups"
OUT_OF_SCOPE = "No answer"
NO_LABEL = "Out of scope: no label is given"
FAILED, SKIPPED = "Not classified: the study failed", "Not classified: the study was skipped"
WARNINGS, WARNING = "Warnings", "Warning"
PICTURES_HEADING, PICTURE_HEADING = "The image and its evidence, in full", "The image, in full"
NATIVE_HEADING = "The image"
EVIDENCE_BY = {
    "place": "Where the evidence lies",
    "region": "Evidence, region by region",
    "pixel": "Evidence, pixel by pixel",
}
EVIDENCE_SLIDER = "Strength"
SLICES_HEADING = "All slices"
STEP_SLIDER = "Step from the input to the counterfactual"
COUNTERFACTUAL, INPUT, DIFFERENCE = "Counterfactual", "Network input", "Difference"
GIVEN, DECODED, ERROR = "Input", "Decoded", "Error"
STRIP_HEADING = "On the way"
DIFFERENCE_UNIT = "grey levels (of 255)"
DARKER, BRIGHTER = "darker", "brighter"
PROOF_HEADING = "The proof"
CERTIFICATE_HEADING = "Reconstruction certificate"
IDENTITY_HEADING = "Evidence identity"
MODEL_HEADING = "The model"
EXCLUDED_HEADING = "What was left out"
OTHER_HEADING = "All images of this study"
DISCLAIMERS_HEADING = "How to read this page"
LIMITS, NOT_TESTED, METRICS, CALIBRATION, INTAKE, SPLITS = (
    "Limits",
    "Not tested on",
    "Measured",
    "Calibration",
    "Intake",
    "Split",
)
INTENDED_USE, TRAINED_ON, DATA_LICENCE, TASK, CLASSES = (
    "Intended use",
    "Trained on",
    "Licence of the data",
    "Task",
    "Classes",
)
SCOPE, EXACTNESS = "Scope", "Reconstruction of test images"
ORIGIN = "How the weights came to be"
BY_CLASS, CLASS, CALLED_AS = "Each class against the rest, on test images", "Class", "Called"
THE_CLASS_CALLED = "the class called"
MEASURE, VALUE, INTERVAL, CASES = "Measure", "Value", "95 % interval", "Cases"
RELIABILITY, SHARE_OBSERVED = "Probability and what was observed on test images", "Share observed"
LABEL, PROBABILITY, FLAGS, REPORT = "Label", "Probability", "Flags", "Report"
SERIES, IN_SCOPE, DECIDED_BY = "Series", "In scope", "Decided by image"
THE_PART, WHY = "The part", "Why"
RANK, DISTANCE, ROW = "Nearest", "Distance (standard deviations)", "Row of the training set"
LEVEL, LAYERS, GOES_ON, LARGEST_ERROR = (
    "Level",
    "Layers",
    "Numbers that go on",
    "Largest error (grey levels)",
)
LARGEST_CONDITION = "Largest condition number"
CHANGE, RMS, LOG_ODDS, FLIPS, COSINE = (
    "Change of the same image",
    "RMS (grey levels)",
    "Log-odds",
    "Changes the answer",
    "Cosine with the edit",
)
COSINE_ALONE = "Cosine"
OTHER_NETWORK, OF, RANKS = "The same by", "Map", "Rank correlation of sizes"
STATUS, REASON, UID, STAGE = "Status", "Reason", "UID", "stage"
OPEN, NONE = "Open", "none"
BESIDE = "The same as files"
FILTER_TEXT, FILTER_LABEL, ALL = "Find", "Show", "All"
FLAG_OUT_OF_SCOPE, FLAG_NOT_EXACT = "out of scope", "reconstruction not exact"
FLAG_OUTSIDE = ("image out of scope", "images out of scope")
SERIES_COUNTED = ("series", "series")
PIXELS_SHA256 = "Stored pixels, SHA-256"
FLAG_BROKEN = ("file could not be read", "files could not be read")
FLAG_SKIPPED = ("file skipped", "files skipped")
FLAG_WARNING = ("warning", "warnings")
IMAGES, TEST_IMAGES = ("image", "images"), ("test image", "test images")
YES, NO = "yes", "no"
EXCLUDED_NOTE = (
    "File names are left out, since they may name a patient; "
    "the study's row in results.jsonl has them."
)
KINDS = {"broken": "could not be read", "skipped": "skipped"}

METRIC_NAMES = {
    "auc": "AUC",
    "accuracy": "Accuracy",
    "balanced_accuracy": "Mean sensitivity of the classes",
    "precision": "Precision",
    "weighted_kappa": "Quadratic weighted kappa",
    "grade_error": "Mean distance of the expected grade",
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
    "ece": "Calibration error (ECE)",
    "calibration_error": "Calibration error",
    "brier": "Brier score",
    "nll": "Negative log-likelihood",
}
HASH_NAMES = {
    "weights_sha256": "Weights, SHA-256",
    "config_sha256": "Configuration, SHA-256",
    "data_sha256": "Training data, SHA-256",
}
ORIGIN_NAMES = {
    "parameters": "Parameters",
    "convolutions": "Inverted convolutions",
    "largest_condition_number": "Largest condition number",
    "command": "Command",
    "commit": "Commit",
    "seed": "Seed",
    "device": "Device",
    "seconds": "Seconds of training",
}
DEPTHS = ("front", "middle", "back")  # of a slice across the body
BANDS, COLUMNS = ("upper", "middle", "lower"), ("left", "centre", "right")
