# make demo: sets up and runs the main job; make test: sets up and tests;
# make test-arm: the tests on emulated Cortex-M cores. Without a C++ compiler,
# clang-format or the tools for these cores, `make test` skips what needs them
# and says so; `make test-arm` fails. make fuzz: any bytes, for 10 minutes each,
# as blob, checkpoint, blob to select from and serial line; needs clang++.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
BUILD := build

export TF_CPP_MIN_LOG_LEVEL ?= 2
# Real images and ImageNet weights, if they lie next to the checkout.
ifneq ($(wildcard ../shared),)
export KERAS_TINYTRAIN_DATA ?= $(abspath ../shared/data)
export KERAS_TINYTRAIN_WEIGHTS ?= $(abspath ../shared/weights)
endif
ARM_TOOLS := $(CXX) arm-none-eabi-g++ qemu-system-arm
CXX_FILES := $(shell find micro tests/micro keras_tinytrain/micro -name '*.h' -o -name '*.cpp')
OMNIGLOT := $(wildcard $(KERAS_TINYTRAIN_DATA)/omniglot)

.PHONY: demo test test-arm wheels arduino-zip fuzz fuzz-model fuzz-checkpoint \
  fuzz-selector fuzz-serial lint clean

demo: $(VENV)/demo
	$(BIN)/python examples/digits.py --nopretrain --folder=$(BUILD)/digits
	$(BIN)/python examples/adapt.py --net=mcunet --weights=meta \
	  --dataset=$(BUILD)/digits/digits --way=10 --shot=5 --tasks=3 --seed=7 \
	  --figure=$(BUILD)/digits.png
ifneq ($(OMNIGLOT),)
	$(BIN)/python examples/adapt.py --net=mcunet --weights=meta \
	  --dataset=omniglot --way=10 --shot=5 --tasks=3 --seed=7 \
	  --figure=$(BUILD)/omniglot.png
endif

test: lint wheels
	$(BIN)/python -m pytest --numprocesses=auto --dist=worksteal -rs

test-arm: $(VENV)/test
	@for tool in $(ARM_TOOLS); do command -v $$tool > /dev/null || \
	  { echo "make test-arm needs $$tool, which is not installed."; \
	  exit 1; }; done
	TINYTRAIN_REQUIRE_ARM=1 $(BIN)/python -m pytest tests/micro \
	  -k 'cortex_m'

# TensorFlow Lite Micro in both of its layouts, each in a folder of its own: a
# process has one. The tests skip what could not be installed, and say so.
export TINYTRAIN_WHEELS ?= $(abspath $(BUILD)/wheels)
WHEELS := 0.dev20260925222358 0.dev20261023182759

wheels: $(VENV)/test
	@for version in $(WHEELS); do \
	  test -d $(TINYTRAIN_WHEELS)/$$version || \
	  { $(BIN)/pip install --quiet --no-deps \
	    --target $(TINYTRAIN_WHEELS)/part-$$version \
	    tflite-micro==$$version pyyaml && \
	    mv $(TINYTRAIN_WHEELS)/part-$$version \
	    $(TINYTRAIN_WHEELS)/$$version; } || \
	  echo "Skipped: tflite-micro $$version, which could not be installed."; \
	done

# The library as the Arduino IDE takes it.
arduino-zip:
	mkdir -p $(BUILD)
	rm -rf $(BUILD)/TinyTrain $(BUILD)/TinyTrain.zip
	cp -r micro $(BUILD)/TinyTrain
	cd $(BUILD) && $(PYTHON) -m zipfile -c TinyTrain.zip TinyTrain
	rm -r $(BUILD)/TinyTrain

FUZZ_SECONDS ?= 600
FUZZ := tests/micro/fuzz
SEEDS = $(FUZZ)/seeds

fuzz: fuzz-model fuzz-checkpoint fuzz-selector fuzz-serial

fuzz-serial: SEEDS = $(FUZZ)/serial_seeds
fuzz-checkpoint: SEEDS = $(FUZZ)/checkpoint_seeds
fuzz-checkpoint fuzz-serial: export KERAS_TINYTRAIN_BLOB := $(FUZZ)/seeds/block.ttnb
fuzz-model fuzz-checkpoint fuzz-selector fuzz-serial: fuzz-%:
	mkdir -p $(BUILD)/fuzz/$*
	clang++ -std=c++11 -g -O1 -fsanitize=fuzzer,address,undefined \
	  -fno-sanitize-recover=all -Imicro/src -Itests/micro \
	  $(FUZZ)/fuzz_$*.cpp $(wildcard micro/src/tinytrain/*.cpp \
	  micro/src/tinytrain/kernels/*.cpp) -o $(BUILD)/fuzz_$*
	$(BUILD)/fuzz_$* -max_total_time=$(FUZZ_SECONDS) \
	  -artifact_prefix=$(BUILD)/ $(BUILD)/fuzz/$* $(SEEDS)

lint: $(VENV)/test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
ifneq ($(shell command -v clang-format 2>/dev/null),)
	clang-format --dry-run -Werror $(CXX_FILES)
else
	@echo 'Skipped: the style of C++, as clang-format is not installed.'
endif

# Each is done once, and again when the requirements change.
$(VENV)/demo: EXTRAS := demo
$(VENV)/test: EXTRAS := test,demo
$(VENV)/demo $(VENV)/test: setup.cfg pyproject.toml | $(BIN)/pip
	$(BIN)/pip install --quiet --editable '.[$(EXTRAS)]'
	touch $@

$(BIN)/pip:
	$(PYTHON) -m venv $(VENV)

clean:
	rm -rf $(VENV) $(BUILD) dist *.egg-info .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -r {} +
