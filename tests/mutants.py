"""Deliberate one-line breakages that the tests must catch: what was changed, to what, and which tests see it."""

from __future__ import annotations

from typing import NamedTuple


class Mutant(NamedTuple):
    """One breakage of one line."""

    file: str
    old: str
    new: str
    tests: str


PROCESSING = "tests/test_processing.py"
THRESHOLD = "tests/test_threshold.py"
HISTOGRAM = "tests/test_histogram.py"
LOCAL = "tests/test_local_threshold.py"
PLAN = "tests/test_plan.py"
CONTRACT = "tests/test_contract.py"
EVALUATION = "tests/test_evaluation.py"
SLICES = "tests/test_evaluation_slices.py"
OBJECT_SCORES = "tests/test_evaluation_objects.py"
ARGUMENTS = f"{CONTRACT}::test_bad_arguments_are_refused"
RANGES = f"{CONTRACT}::test_settings_out_of_range_are_refused_by_name_and_value"
IMAGES = f"{CONTRACT}::test_bad_images_are_refused"
MASKS = f"{CONTRACT}::test_mask_and_nan_are_background_and_do_not_count"
DASK = f"{CONTRACT}::test_dask_gives_the_labels_of_the_whole"
INTEGERS = f"{CONTRACT}::test_integers_that_floats_cannot_tell_apart_are_refused"
DTYPES = f"{CONTRACT}::test_any_real_dtype_gives_the_labels_of_the_widest"

SELECTION = "tests/test_selection.py"
STATISTICS = "tests/test_statistics.py"
CHAIN = "tests/test_chain.py"
STORED = "tests/test_stored.py"
MEASURE = "tests/test_measure.py"
OBJECTS = "tests/test_objects.py"
FOOTPRINT = "tests/test_footprint.py"
JOB = "tests/widgets/test_preview_job.py"
TARGET = "tests/widgets/test_target.py"
DISTANCE = "tests/test_distance.py"
DISTANCE_KERNEL = "tests/kernels/test_distance_kernel.py"

MUTANTS = [
    # the engine
    Mutant("_plan.py", "max(s.start - w, 0)", "max(s.start - w + 1, 0)", PLAN),
    Mutant("_plan.py", "min(s.stop + w, n)", "s.stop + w", PLAN),
    Mutant("_statistics.py", "if sweep.needed(state):", "if True:", PLAN),
    Mutant("_monitor.py", "if monitor.is_cancelled is not None and monitor.is_cancelled():", "if False:", PLAN),
    Mutant("_monitor.py", "yield monitor\n    finally:\n        _current.reset(token)", "yield monitor\n    finally:\n        pass", PLAN),
    # checks
    Mutant("_method.py", "if not self.min <= value <= self.max:", "if not self.min <= value:", RANGES),
    Mutant("_method.py", "if len(lengths) != ndim:", "if False:", ARGUMENTS),
    Mutant("_method.py", "if 0 in image.shape:", "if False:", IMAGES),
    Mutant("_method.py", "if right and not _is_finite(value):", "if False:", ARGUMENTS),
    # grey levels
    Mutant("methods/_grey_levels.py", "if np.isfinite(value):", "if True:", HISTOGRAM),
    Mutant("methods/_grey_levels.py", "position = (value - low) * scale", "position = value * scale - low", HISTOGRAM),
    Mutant("methods/_grey_levels.py", "if 2 * tail >= total:", "if tail >= total:", HISTOGRAM),
    Mutant("methods/_grey_levels.py", "labels[i] = high if grey[i] > limit else low", "labels[i] = high if grey[i] >= limit else low", THRESHOLD),
    Mutant("methods/_grey_levels.py", "if grey[i] > limits[step + half]:", "if grey[i] >= limits[step + half]:", DTYPES),
    Mutant("methods/_grey_levels.py", "if f >= lowest]", "]", THRESHOLD),
    Mutant("methods/_grey_levels.py", "rounded.astype(np.float64) > wanted, lower, rounded", "rounded.astype(np.float64) > wanted, rounded, rounded", THRESHOLD),
    Mutant("methods/_grey_levels.py", "if max(abs(low), abs(high)) > MAX_EXACT:", "if False:", INTEGERS),
    Mutant("methods/local_threshold.py", "ROUNDING = 2.0**-44", "ROUNDING = 0.0", LOCAL),
    # decisions
    Mutant("methods/threshold.py", "return float(occupied.edges[np.argmax(below * above_ * gap**2)])", "return float(occupied.edges[np.argmax(below * above_ * abs(gap))])", THRESHOLD),
    Mutant("methods/threshold.py", "if total > gain:", "if total >= gain:", THRESHOLD),
    Mutant("methods/threshold.py", "stack.append((end + 1, highest, at, last))", "stack.append((end + 1, highest, at + 1, last))", THRESHOLD),
    Mutant("methods/threshold.py", "flip = peak < n - 1 - peak", "flip = peak > n - 1 - peak", THRESHOLD),
    Mutant("methods/threshold.py", "return Cuts((low, high), (0, 1, 2) if objects", "return Cuts((low, high), (0, 2, 2) if objects", THRESHOLD),
    Mutant("methods/histogram.py", "share.max(axis=0) * image.sum() >= fit * image", "share.max(axis=0) >= fit", HISTOGRAM),
    Mutant("methods/histogram.py", "np.argsort(-heights, kind", "np.argsort(heights, kind", HISTOGRAM),
    Mutant("methods/local_threshold.py", "total + part", "part", LOCAL),
    Mutant("methods/local_threshold.py", "(1 - deviation / spread)", "(1 + deviation / spread)", LOCAL),
    # processing
    Mutant("processing/filters.py", "TRUNCATE = 4.0", "TRUNCATE = 3.0", PROCESSING),
    Mutant("processing/filters.py", "period - 1 - at if edge", "period - at if edge", PROCESSING),
    Mutant("processing/filters.py", "round(min(s / smallest, MAX_RATIO) * 1024)", "round(s * 1024)", PROCESSING),
    Mutant("processing/filters.py", "(second, first) if closing", "(first, second) if closing", PROCESSING),
    Mutant("processing/labels.py", "~touching_border(holes, n), holes", "touching_border(holes, n), holes", PROCESSING),
    Mutant("processing/labels.py", "bincount(labels, n + 1) >= min_size\n", "bincount(labels, n + 1) > min_size\n", PROCESSING),
    Mutant("processing/labels.py", "for at in (0, size - 1):", "for at in (0,):", PROCESSING),
    Mutant("processing/segment.py", "else fill_holes(cut) & known", "else fill_holes(cut)", PROCESSING),
    Mutant("processing/segment.py", "where(cut & ~kept, next_class, classes)", "where(cut & ~kept, classes, classes)", HISTOGRAM),
    # distance
    Mutant("processing/distance.py", 'if largest < FAR["int32"]', "if largest <= MAX_SQUARED", DISTANCE),
    Mutant("processing/distance.py", "math.gcd(*steps)", "1", DISTANCE),
    Mutant("processing/_envelope.py", "steps = min(x - left, right - x)", "steps = x - left", DISTANCE),
    Mutant("processing/_envelope.py", "begins = rise // (2 * square * (at - site[top])) + 1", "begins = rise // (2 * square * (at - site[top]))", DISTANCE),
    Mutant("processing/_envelope.py", "while end < n and labels[end] == label:", "while end < n and labels[end] != 0:", DISTANCE),
    Mutant("blockwise/_distance.py", "squared = squared.copy()", "pass", DISTANCE),
    Mutant("blockwise/_distance.py", "-1 if a == axis", "-1 if a == axis - 1", DISTANCE),
    Mutant("kernels/distance.cu", "if (labels[voxel] != object) return 0;", "if (labels[voxel] == 0) return 0;", DISTANCE_KERNEL),
    Mutant("kernels/distance.cu", "ahead = length - 1 - behind", "ahead = length - 2 - behind", DISTANCE_KERNEL),
    Mutant("kernels/distance.cu", "apart = square * steps * steps", "apart = square * steps", DISTANCE_KERNEL),
    Mutant("kernels/distance.cu", "if (apart >= best) break;", "if (apart >= best - 1) break;", DISTANCE_KERNEL),
    # dask
    Mutant("blockwise/_components.py", "order = np.argsort(first, kind=", "order = np.argsort(-first, kind=", PROCESSING),
    Mutant("blockwise/_components.py", "if sum(map(abs, shift)) > left:", "if sum(map(abs, shift)) > 0:", PROCESSING),
    Mutant("blockwise/_components.py", "keep &= size >= min_size", "keep &= size > min_size", PROCESSING),
    Mutant("blockwise/_plans.py", 'depth = {axis: w if', 'depth = {axis: w // 2 if', DASK),
    # evaluation
    Mutant("evaluation/_matching.py", "if 0 not in predicted and 1 < len(ours) <= MAX_CLASSES:", "if False:", EVALUATION),
    Mutant("evaluation/_matching.py", "if 2 * len(shared) < max(", "if 2 * len(shared) < min(", EVALUATION),
    Mutant("evaluation/_matching.py", "(itself == most) & (itself > 0)", "itself > 0", EVALUATION),
    Mutant("evaluation/_matching.py", "objects = (table.truth != 0) & np.isin", "objects = np.isin", EVALUATION),
    Mutant("evaluation/_matching.py", "if 1 in (len(ours), len(theirs)):", "if False:", EVALUATION),
    Mutant("evaluation/_contingency.py", "packed = packed * width + (key - low)", "packed = packed + (key - low)", EVALUATION),
    Mutant("evaluation/_contingency.py", "kept = self.truth != ignore", "kept = self.truth > ignore", EVALUATION),
    Mutant("evaluation/overlap.py", "return ratio(self.tp, self.tp + self.fp + self.fn)", "return ratio(self.tp, self.tp + self.fp)", EVALUATION),
    Mutant("evaluation/overlap.py", "tn=frozen(n_voxels - tp - fp - fn)", "tn=frozen(n_voxels - tp - fp)", EVALUATION),
    Mutant("evaluation/overlap.py", "2 * only_found + 3 * only_truth", "3 * only_found + 2 * only_truth", EVALUATION),
    Mutant("evaluation/slices.py", "table.predicted % n + start", "table.predicted % n", SLICES),
    Mutant("evaluation/slices.py", "table.predicted // n + low", "table.predicted // n", SLICES),
    Mutant("evaluation/slices.py", "if (high - low + 1) * n > MAX_LABEL:", "if False:", SLICES),
    Mutant("evaluation/slices.py", "kept = np.ones(len(table), bool) if whole.ignore is None else", "kept = np.ones(len(table), bool) if True else", SLICES),
    Mutant("evaluation/slices.py", "there = ~np.isnan(chosen)", "there = chosen >= 0.5", SLICES),
    Mutant("evaluation/objects.py", "ratio(2 * self.matched_iou, 2 * self.tp + self.fp + self.fn)", "ratio(2 * self.matched_iou, 2 * self.tp + self.fp)", OBJECT_SCORES),
    Mutant("evaluation/_pairing.py", "good = np.flatnonzero(iou >= threshold)", "good = np.flatnonzero(iou > threshold)", OBJECT_SCORES),
    Mutant("evaluation/_pairing.py", "covers = 2 * self.shared > self", "covers = 2 * self.shared >= self", OBJECT_SCORES),
    Mutant("evaluation/_pairing.py", "len(rows) + 2 + scores", "1 + scores", OBJECT_SCORES),
    Mutant("evaluation/_pairing.py", "np.lexsort((other, other == 0, -counts, own))", "np.lexsort((other, -counts, own))", OBJECT_SCORES),
    Mutant("_writing.py", "if not overwrite:", "if False:", EVALUATION),
    # parts of an image, and the statistics that they share
    Mutant("_selection.py", "if axis in self.each else [slice(*ends)]", "if axis in self.each else [slice(0, ends[1])]", SELECTION),
    Mutant("_selection.py", "index - start if isinstance(index, int)", "index if isinstance(index, int)", SELECTION),
    Mutant("_execute.py", "labels + np.int32(n_before)", "labels", SELECTION),
    Mutant("_statistics.py", "total = swept_part.summary if i == 0 else", "total = swept_part.summary if True else", STATISTICS),
    Mutant("_statistics.py", "self.n_questions += 1", "self.n_questions = 1", STATISTICS),
    Mutant("processing/segment.py", "_scalar(gathered(None, [sweep], classes), classes)", "_scalar(sweep.chunk(None, classes), classes)", STATISTICS),
    # recipes
    Mutant("_chain.py", "if source.sha256 != parent.sha256:", "if False:", CHAIN),
    Mutant("_chain.py", "if step not in self.steps:", "if True:", CHAIN),
    Mutant("_sources.py", "narrow = _smallest(run)", "narrow = run", STORED),
    # objects
    Mutant("methods/objects.py", "chosen = _chosen(labels, _checked(classes))", "chosen = labels", OBJECTS),
    Mutant("_footprint.py", "return max(catalog.find(step.method).working, FILTERING if filtering else 0.0)", "return 0.0", FOOTPRINT),
    # what a widget works on
    Mutant("widgets/_layers.py", "s * f + (f - 1) / 2", "s * f", TARGET),
    Mutant("widgets/_target.py", "index = min(max(int(extent.point[at] / f), 0), n - 1)", "index = min(max(int(extent.point[at]), 0), n - 1)", TARGET),
    Mutant("widgets/_preview_job.py", "widened(", "(lambda region, *_: (region.box, True))(", JOB),
]  # fmt: skip
