# make demo: classify the sample studies with the shipped models, write results and reports, say where to look.
# make test: the tests, in the same environment. make lint: ruff, mypy and the order of imports. All need Python 3.11 or 3.12 and a compiler, nothing else.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
PYDICOM_FILES = $$($(BIN)/python -c "import pydicom, pathlib; print(pathlib.Path(pydicom.__file__).parent / 'data' / 'test_files')")

ENGINE ?= podman

.PHONY: demo test lint image clean
demo: $(VENV)/ready
	@echo; echo "== The sample studies (generated, truth known), by the model that knows such images"
	$(BIN)/medinv classify sample_data/studies --model phantom-opacity --out demo/phantoms --report --overwrite
	$(BIN)/python -m pipelines.intake.compare_with_truth demo/phantoms sample_data/truth/truth.json
	@echo; echo "== Two of them hold a CT series: the model of volumes reads it whole"
	$(BIN)/medinv classify sample_data/studies/study-02/ct sample_data/studies/study-04/ct --model phantom-ct --out demo/ct --report --dicom --overwrite
	$(BIN)/python -m pipelines.intake.compare_with_truth demo/ct sample_data/truth/truth.json
	@echo; echo "== The chest radiograph model on the same, and on the real DICOM files that pydicom ships: hardly one is a child's film"
	$(BIN)/medinv classify sample_data/studies "$(PYDICOM_FILES)" --model chest-xray --out demo/chest-xray --report --overwrite || test $$? -le 3
	@echo; echo "demo/chest-xray/index.html says, study by study, what the chest radiograph model makes of it and why it mostly refuses."
	@echo "demo/ct/index.html has the two CT series, slice by slice; the DICOM results lie beside their reports."
	@echo "Open demo/phantoms/index.html in a browser: every sample study with its report."

test: $(VENV)/ready
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile

lint: $(VENV)/ready
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# A container, by podman, docker or buildah (ENGINE). TORCH_INDEX: PyTorch's index of processor-only builds, see the file.
image:
	$(ENGINE) build -f configs/deploy/Containerfile $(if $(TORCH_INDEX),--build-arg TORCH_INDEX=$(TORCH_INDEX)) -t medinv .

$(VENV)/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[test,export,serve]"
	@touch $@

clean:
	rm -rf $(VENV) demo
