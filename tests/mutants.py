"""Deliberate one-line breakages that the tests must catch: what was changed, to what, and which tests see it."""

from __future__ import annotations

from typing import NamedTuple


class Mutant(NamedTuple):
    """One breakage of one line."""

    file: str
    old: str
    new: str
    tests: str


GRAPH_CUT = "tests/test_graph_cut.py"
FELZENSZWALB = "tests/test_felzenszwalb.py"
MERGES = "tests/test_merge_regions.py"
REGION_GRAPH = "tests/test_region_graph.py"
FELZENSZWALB_TILES = "tests/test_felzenszwalb_tiles.py"
PROCESSING = "tests/test_processing.py"
NCUT = "tests/test_normalized_cut.py"
FEATURES = "tests/test_features.py"
MEANS = "tests/test_weighted_means.py"
SESSION = "tests/test_walk_session.py"
BLOCKS = "tests/test_walk_blocks.py"
WALKER = "tests/test_random_walker.py"
MULTIGRID = "tests/test_multigrid.py"
THRESHOLD = "tests/test_threshold.py"
HISTOGRAM = "tests/test_histogram.py"
LOCAL = "tests/test_local_threshold.py"
PLAN = "tests/test_plan.py"
CONTRACT = "tests/test_contract.py"
EVALUATION = "tests/test_evaluation.py"
COMPARISON = "tests/test_comparison.py"
CITATIONS = "tests/test_citations.py"
DEMO = "tests/test_demo.py"
JOURNAL = "tests/test_journal.py"
PARTS = "tests/test_parts.py"
DISTRIBUTED = "tests/test_distributed.py"
RESUME = "tests/test_resume.py"
STORE_RUN = "tests/test_store_run.py"
CITE = "tests/test_cli_cite.py"
SLICES = "tests/test_evaluation_slices.py"
OBJECT_SCORES = "tests/test_evaluation_objects.py"
COMPLETE = "tests/test_evaluation_complete.py"
PARTITIONS = "tests/test_partitions.py"
BOUNDARIES = "tests/test_boundaries.py"
LOSSES = "tests/test_losses.py"
UNET_PREDICT = "tests/test_unet_predict.py"
UNET_TILING = "tests/test_unet_tiling.py"
MODELS = "tests/test_unet_models.py"
MODEL_RECIPES = "tests/test_unet_recipes.py"
ONNX = "tests/test_unet_onnx.py"
ZOO = "tests/test_unet_zoo.py"
UNET_DATA = "tests/test_unet_data.py"
UNET_TRAIN = "tests/test_unet_train.py"
UNET_RESUME = "tests/test_unet_resume.py"
NETWORK = "tests/test_unet_architecture.py"
UNET_LOSSES = "tests/test_unet_losses.py"
HEADS = "tests/test_unet_heads.py"
AUGMENTATION = "tests/test_unet_augmentation.py"
TORCH = "tests/test_unet_torch.py"
UNET_LAYERS = "tests/widgets/test_unet_layers.py"
UNET_MODELS = "tests/widgets/test_unet_models.py"
POOLS = "tests/widgets/test_pools.py"
UNET_WIDGET = "tests/widgets/test_unet.py"
REGION_EDIT = "tests/widgets/test_region_edit.py"
OBJECT_EDITS = "tests/test_object_edits.py"
EDITING = "tests/widgets/test_editing.py"
RESULTS = "tests/widgets/test_results.py"
LARGE = "tests/widgets/test_large.py"
RANK_CHANGES = "tests/test_rank_changes.py"
REPORT = "tests/test_report.py"
POOLED = "tests/test_pooled.py"
REPORT_EVALUATION = "tests/test_report_evaluation.py"
CLI_COMPARE = "tests/test_cli_compare.py"
DOCTOR = "tests/test_doctor.py"
CLI_UNET = "tests/test_cli_unet.py"
UNET_STROKES = "tests/test_unet_strokes.py"
ARGUMENTS = f"{CONTRACT}::test_bad_arguments_are_refused"
RANGES = f"{CONTRACT}::test_settings_out_of_range_are_refused_by_name_and_value"
IMAGES = f"{CONTRACT}::test_bad_images_are_refused"
MASKS = f"{CONTRACT}::test_mask_and_nan_are_background_and_do_not_count"
DASK = f"{CONTRACT}::test_dask_gives_the_labels_of_the_whole"
INTEGERS = f"{CONTRACT}::test_integers_that_floats_cannot_tell_apart_are_refused"
DTYPES = f"{CONTRACT}::test_any_real_dtype_gives_the_labels_of_the_widest"

SAMPLES = "tests/test_samples.py"
SELECTION = "tests/test_selection.py"
SWEEPS = "tests/test_sweeps.py"
STATISTICS = "tests/test_statistics.py"
CHAIN = "tests/test_chain.py"
RECIPE_EDITS = "tests/test_recipe_edits.py"
STEP_CACHE = "tests/test_step_cache.py"
RECIPE_JOB = "tests/widgets/test_recipe_job.py"
RECIPE_PLACE = "tests/widgets/test_recipe_place.py"
RECIPE_WIDGET = "tests/widgets/test_recipe_widget.py"
LINK = "tests/test_link.py"
STORED = "tests/test_stored.py"
STORES = "tests/test_stores.py"
STORES_REMOTE = "tests/test_stores_remote.py"
STORES_TARGET = "tests/test_stores_target.py"
MEASURE = "tests/test_measure.py"
OBJECT_TABLE = "tests/test_object_table.py"
OBJECTS = "tests/test_objects.py"
CLUSTER = "tests/test_cluster.py"
SUPERPIXELS = "tests/test_superpixels.py"
SLIC_KERNELS = "tests/kernels/test_slic_kernels.py"
MIXTURE = "tests/test_mixture.py"
LLOYD = "tests/test_lloyd.py"
ARITHMETIC = "tests/test_arithmetic.py"
BLOCKWISE = "tests/test_blockwise.py"
WATERSHED = "tests/test_watershed.py"
MINIMA = "tests/test_minima.py"
COMPILED = "tests/test_compiled.py"
STITCH = "tests/test_stitch.py"
TILED_FLOOD = f"{STITCH}::test_a_flood_in_tiles_is_that_of_the_whole"
TILED_MINIMA = f"{STITCH}::test_minima_in_tiles_are_those_of_the_whole"
FOOTPRINT = "tests/test_footprint.py"
JOB = "tests/widgets/test_preview_job.py"
TARGET = "tests/widgets/test_target.py"
AGREEMENT = "tests/widgets/test_agreement.py"
LIVE = "tests/widgets/test_random_walker.py"
TRY_ALL = "tests/test_try_all.py"
COMPARE = "tests/widgets/test_compare.py"
CLOSING = "tests/widgets/test_closing.py"
PLANES = "tests/widgets/test_planes.py"
GRAPH_BASED = "tests/widgets/test_graph_based.py"
OBJECT_ERRORS = "tests/test_object_errors.py"
DISTANCE = "tests/test_distance.py"
DISTANCE_KERNEL = "tests/kernels/test_distance_kernel.py"
WALK_KERNELS = "tests/kernels/test_walk_kernels.py::test_levels_follow_the_definition"
WALK_STEPS = "tests/kernels/test_walk_kernels.py::test_steps_of_an_iteration_follow_the_definition"
SHIM = "tests/kernels/test_shim.py"
COMPILERS = "tests/kernels/test_compile.py"
FLOOD_KERNELS = "tests/kernels/test_watershed_kernels.py"
SANITIZED = "tests/kernels/test_sanitizers.py::test_kernels_are_clean"
THREAD_SANITIZER = f"{SANITIZED}[watershed-thread]"
ADDRESS_SANITIZER = f"{SANITIZED}[watershed-address,undefined]"

MUTANTS = [
    # recipes that are edited, and what their steps gave
    Mutant("_recipe_edits.py", "    if not _is_image(entry.source):\n        names[before]", "    if False:\n        names[before]", f"{RECIPE_EDITS}::test_all_that_read_the_step_before_read_the_new_one"),
    Mutant("_recipe_edits.py", '    names[f"step_{number}"] = step.inputs[entry.source.name]', '    names[f"step_{number}"] = f"step_{number}"', f"{RECIPE_EDITS}::test_a_step_on_labels_stands_in_the_line"),
    Mutant("_recipe_edits.py", "        return Draft(found, frozenset(order.index(one) + 1 for one in self.off))", "        return Draft(found, self.off)", f"{RECIPE_EDITS}::test_a_step_that_is_off_is_left_out_of_the_run"),
    Mutant("running/_step_cache.py", "from_numpy(ran.labels.copy(), ", "from_numpy(ran.labels, ", STEP_CACHE),
    Mutant("running/_step_cache.py", "        self._digests.clear()\n", "", f"{STEP_CACHE}::test_steps_run_again_on_an_image_that_was_painted_on_in_place"),
    Mutant("running/_step_cache.py", "[key for key in self._held if key not in self._of_this_run]", "list(self._held)", f"{STEP_CACHE}::test_what_is_kept_stays_within_its_limit"),
    Mutant("_recipe_edits.py", "    if spacing is None or len(spacing) == len(axes):", "    if True:", f"{RECIPE_EDITS}::test_other_voxels_are_run_on_by_steps_that_know_how_large_they_are"),
    Mutant("widgets/_recipe_target.py", "        if not was.get(axis, False):", "        if True:", f"{RECIPE_PLACE}::test_a_frame_and_what_other_layers_lack"),
    Mutant("widgets/_recipe_target.py", "            point[at] = int((ends[0] + 0.5) * factor)", "            pass", f"{RECIPE_PLACE}::test_a_frame_and_what_other_layers_lack"),
    Mutant("widgets/_recipe_target.py", "_INSIDE = 1e-6", "_INSIDE = 0.0", f"{RECIPE_PLACE}::test_a_region_stays_where_it_is_at_every_level"),
    Mutant("widgets/_recipe_place.py", "        self._renamed.setdefault(setup.source, set()).add(names)", "        del names", f"{RECIPE_PLACE}::test_a_film_without_names_of_its_axes"),
    Mutant("widgets/_recipe_place.py", " and frozenset((was, now)) in self._renamed.get(layer, ()):", ":", f"{RECIPE_PLACE}::test_undo_calls_no_axis_by_another_name_than_the_edit"),
    Mutant("widgets/_recipe_job.py", "    return n == len(chosen.axes) and (ASKED in letters or letters == chosen.axes)", "    return n == len(chosen.axes)", f"{RECIPE_PLACE}::test_undo_calls_no_axis_by_another_name_than_the_edit"),
    Mutant("widgets/_recipe_job.py", "        chosen = replace(chosen, box=()) if self.whole else chosen", "", f"{RECIPE_PLACE}::test_a_frame_and_what_other_layers_lack"),
    Mutant("widgets/_recipe_job.py", "        _check_lengths(step, aim.selection.run_axes, layer)\n", "", f"{RECIPE_PLACE}::test_a_voxel_size_of_other_axes_is_said_before_the_run"),
    Mutant("widgets/_recipe_job.py", " or _model_problem(setup.recipe, aim):", ":", f"{RECIPE_WIDGET}::test_a_model_is_inserted_as_a_step"),
    Mutant("widgets/_recipe.py", "folder.work(setup.recipe, setup.device), keeps=True)", "folder.work(setup.recipe, setup.device))", f"{RECIPE_WIDGET}::test_a_folder_that_was_done_when_it_was_cancelled_is_done"),
    Mutant("running/_many.py", "        if done := sum(row.target is not None for row in rows):", "        if done := 0:", f"{RECIPE_WIDGET}::test_a_run_on_a_folder_is_cancelled_and_gone_on_with"),
    Mutant("running/_batch.py", "    with job.table or nullcontext():", "    with nullcontext():", f"{RECIPE_WIDGET}::test_a_run_on_a_folder_is_cancelled_and_gone_on_with"),
    Mutant("widgets/_recipe_request.py", "known=None if pooled else known", "known=known", f"{RECIPE_JOB}::test_what_frames_share_is_found_anew_where_one_of_them_changed"),
    Mutant("widgets/_recipe_job.py", "    if not known or not _layers.has_voxel_size(layer, lengths):", "    if not known:", RECIPE_JOB),
    # superpixels
    Mutant("methods/_slic_loops.py", "away * away\n        closer = (distance < work[i]) & (along <= reach)", "away * away\n        closer = distance <= work[i]", f"{SUPERPIXELS}::test_superpixels_are_what_their_definition_says"),
    Mutant("methods/_slic_loops.py", "away = max(max(left - centre, centre - right), ZERO)", "away = max(left - centre, centre - right)", f"{SUPERPIXELS}::test_superpixels_are_what_their_definition_says"),
    Mutant("methods/_slic_loops.py", "places[k, 2] += (start + end - 1) * n // 2 + n * origin[2]", "places[k, 2] += (start + end - 1) * n // 2", f"{SUPERPIXELS}::test_blocks_and_threads_do_not_show"),
    Mutant("methods/_slic.py", "self.n_assigned < self.settings.max_iterations - 1", "self.n_assigned < self.settings.max_iterations", f"{SUPERPIXELS}::test_superpixels_are_what_their_definition_says"),
    Mutant("methods/_slic.py", "        if best != grid:  # it must be counted again", "        if False:", f"{SUPERPIXELS}::test_superpixels_are_what_their_definition_says"),
    Mutant("methods/_slic.py", "min(wanted, ranged._most_cells)", "wanted", f"{SUPERPIXELS}::test_a_mask_that_is_sparse_in_its_box_has_no_more_cells_than_are_of_use"),
    Mutant("methods/_slic_blocks.py", "    present[own[held]] = True\n", "", f"{SUPERPIXELS}::test_six_voxels_by_hand"),
    Mutant("methods/_slic_sums.py", "np.searchsorted(numbers, table.numbers)", "np.arange(len(table.numbers))", f"{SUPERPIXELS}::test_tiles_do_not_show"),
    Mutant("methods/_fragments.py", "    while _join_once(parts, parent, sizes, least, total, voxels, met):\n        pass", "    _join_once(parts, parent, sizes, least, total, voxels, met)", f"{SUPERPIXELS}::test_small_parts_join_by_hand"),
    Mutant("methods/_fragments.py", "if total[region] > most or (total[region] == most and region < best):", "if total[region] > most:", f"{SUPERPIXELS}::test_parts_join_in_blocks_as_they_do_in_memory"),
    Mutant("kernels/slic.cu", "if (space.z > reach[0] || space.y > reach[1] || space.x > reach[2]) continue;", "", f"{SLIC_KERNELS}::test_device_and_host_find_the_same"),
    Mutant("kernels/slic.cu", "y += first_y + line % ny;", "y += line % ny;", f"{SLIC_KERNELS}::test_sums_of_three_voxels_by_hand"),
    # the engine
    Mutant("_plan.py", "max(s.start - w, 0)", "max(s.start - w + 1, 0)", PLAN),
    Mutant("_plan.py", "min(s.stop + w, n)", "s.stop + w", PLAN),
    Mutant("_statistics.py", "if not sweep.needed(state):", "if False:", PLAN),
    Mutant("_monitor.py", "if monitor.is_cancelled is not None and monitor.is_cancelled():", "if False:", PLAN),
    Mutant("_monitor.py", "yield\n    finally:\n        _current.reset(token)", "yield\n    finally:\n        pass", PLAN),
    # checks
    Mutant("_method.py", "if not self.min <= value <= self.max:", "if not self.min <= value:", RANGES),
    Mutant("_checks.py", "if len(lengths) != ndim:", "if False:", ARGUMENTS),
    Mutant("_checks.py", 'if 0 in shape:\n        raise ValueError(f"image', 'if False:\n        raise ValueError(f"image', IMAGES),
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
    Mutant("processing/segment.py", "        if known is not None:\n            kept = per_voxel", "        if False:\n            kept = per_voxel", PROCESSING),
    Mutant("processing/segment.py", "xp.where(classes == objects, below, classes))", "classes)", HISTOGRAM),
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
    # kernels
    Mutant("kernels/__init__.py", "if n <= MAX_NARROW else", "if n <= MAX_NARROW + 1 else", SHIM),
    Mutant("kernels/__init__.py", "    if plain:", "    if False:", SHIM),
    Mutant("kernels/__init__.py", "(-(-n // THREADS),)", "(n // THREADS,)", SHIM),
    Mutant("kernels/__init__.py", "if library_name not in LOADERS:", "if False:", SHIM),
    Mutant("kernels/portable.cuh", "crossed > grid.connectivity", "crossed > 3", SHIM),
    Mutant("kernels/portable.cuh", "x < 0 || x >= grid.nx", "x < 0 || x > grid.nx", SHIM),
    Mutant("kernels/portable.cuh", "return {line / grid.ny, line % grid.ny, voxel % grid.nx};", "return {line / grid.nx, line % grid.ny, voxel % grid.nx};", SHIM),
    Mutant("kernels/portable.cuh", "territory == nullptr || territory[voxel] != 0;", "territory == nullptr || territory[voxel] >= 0;", FLOOD_KERNELS),
    Mutant("kernels/portable.cuh", "territory[voxel] == territory[other];", "(territory[voxel] != 0) == (territory[other] != 0);", SHIM),
    Mutant("kernels/portable.cuh", "low = voxel < other ? voxel : other", "low = voxel < other ? other : voxel", SHIM),
    Mutant("kernels/portable.cuh", "return *static_cast<const volatile T*>(at);", "return *static_cast<const T*>(at)", COMPILERS),
    Mutant("kernels/portable.cuh", "const INDEX before = atomicMin(&parent[high], low);", "const INDEX before = parent[high]; parent[high] = low;", THREAD_SANITIZER),
    Mutant("kernels/portable.cuh", "for (INDEX next = RELAXED_LOAD(&parent[voxel]);", "for (INDEX next = parent[voxel];", THREAD_SANITIZER),
    Mutant("kernels/pointers.cu", "!= at) RELAXED_STORE(unfinished, 1);", "!= at) RELAXED_STORE(unfinished, 0);", FLOOD_KERNELS),
    Mutant("kernels/pointers.cu", "RELAXED_STORE(&pointer[item], at);", "pointer[item] = at;", THREAD_SANITIZER),
    Mutant("kernels/pointers.cu", "        if (at < 0) break;", "", ADDRESS_SANITIZER),
    Mutant("kernels/basins.cu", "is_inside(territory, p) && key[p] != NEVER ? p : -1;", "is_inside(territory, p) && key[p] != 0 ? p : -1;", FLOOD_KERNELS),
    Mutant("kernels/basins.cu", "key[q] == key[p] && is_joined", "key[q] <= key[p] && is_joined", FLOOD_KERNELS),
    Mutant("kernels/basins.cu", "key[q] >= key[p] || ", "key[q] > key[p] || ", FLOOD_KERNELS),
    Mutant("kernels/basins.cu", "d < STAY; ++d", "d < STAY - 1; ++d", FLOOD_KERNELS),
    Mutant("kernels/basins.cu", "if (q < RELAXED_LOAD(&exit[parent[p]])) atomicMin(&exit[parent[p]], q);", "if (q < exit[p]) atomicMin(&exit[p], q);", FLOOD_KERNELS),
    Mutant("kernels/basins.cu", "atomicMin(&exit[parent[p]], q);", "exit[parent[p]] = q;", THREAD_SANITIZER),
    Mutant("kernels/basins.cu", "RELAXED_STORE(&parent[p], find_root(parent, p));", "RELAXED_STORE(&parent[p], RELAXED_LOAD(&parent[p]));", FLOOD_KERNELS),
    Mutant("kernels/minima.cu", "parent[p] == p && exit[p] == n;", "parent[p] >= 0 && exit[p] == n;", FLOOD_KERNELS),
    Mutant("kernels/minima.cu", "parent[p] >= 0 && exit", "exit", ADDRESS_SANITIZER),
    Mutant("kernels/passes.cu", "terrain.key[p] > terrain.key[q] ?", "terrain.key[p] < terrain.key[q] ?", FLOOD_KERNELS),
    Mutant("kernels/passes.cu", "return terrain.start[p];", "return terrain.key[p];", FLOOD_KERNELS),
    Mutant("kernels/passes.cu", "lowest = found < lowest ? found : lowest;", "lowest = found;", FLOOD_KERNELS),
    Mutant("kernels/passes.cu", "atomicMin(&weight[own], lowest);", "weight[own] = lowest;", THREAD_SANITIZER),
    Mutant("kernels/passes.cu", "atomicMin(&pass[own], smallest);", "pass[own] = smallest;", THREAD_SANITIZER),
    Mutant("kernels/passes.cu", "picked != NEVER && picked > level[p]", "picked != NEVER", FLOOD_KERNELS),
    Mutant("kernels/passes.cu", "component[near] != own ? component[near] : component[far]", "far >= 0 ? component[near] : ROOTED", FLOOD_KERNELS),
    Mutant("kernels/passes.cu", "if (!is_mutual || target < own)", "if (!is_mutual)", FLOOD_KERNELS),
    Mutant("kernels/passes.cu", "if (component[thread_index()] != ROOTED)", "if (component[thread_index()] == -1)", FLOOD_KERNELS),
    Mutant("kernels/zones.cu", "level[q] < level[p] && is_joined", "level[q] <= level[p] && is_joined", FLOOD_KERNELS),
    Mutant("kernels/zones.cu", "bool is_entry = markers[p] != 0;", "bool is_entry = markers[p] < 0;", FLOOD_KERNELS),
    Mutant("kernels/zones.cu", "|| RELAXED_LOAD(&distance[q]) != 0) continue;", "|| RELAXED_LOAD(&distance[q]) == FAR) continue;", FLOOD_KERNELS),
    Mutant("kernels/zones.cu", "if (atomicCAS(&distance[q], FAR, next) == FAR) queue", "if ((distance[q] = next)) queue", THREAD_SANITIZER),
    Mutant("kernels/zones.cu", "queue[atomicAdd(queued, 1ULL)] = q;", "queue[(*queued)++] = q;", THREAD_SANITIZER),
    Mutant("kernels/zones.cu", "source = level[p] != NEVER && markers[p] != 0 ? p : -1;", "source = markers[p] != 0 ? p : -1;", FLOOD_KERNELS),
    Mutant("kernels/zones.cu", "level[q] < level[source] ||", "level[q] <= level[source] ||", FLOOD_KERNELS),
    Mutant("kernels/zones.cu", "distance[q] < distance[source]);", "distance[q] <= distance[source]);", FLOOD_KERNELS),
    Mutant("kernels/zones.cu", "pointer[p] < 0 ? 0 : markers[pointer[p]];", "markers[pointer[p]];", ADDRESS_SANITIZER),
    Mutant("kernels/lattice.cu", "const float found = stepped(i) + STEP", "const float found = stepped(i) + 0.5f", WALK_STEPS),
    Mutant("kernels/pairs.cuh", "if (offered == rank && hashed <= chance) return;", "if (offered == rank) return;", WALK_KERNELS),
    Mutant("kernels/graph.cu", "least = bits + 1;", "least = bits;", WALK_KERNELS),
    Mutant("methods/_multigrid_device.py", "            self._leave(k + 1)\n", "", WALK_STEPS),
    Mutant("methods/_basins.py", "first, end = end, _count(queued)", "first, end = end, end", FLOOD_KERNELS),
    Mutant("methods/_basins.py", "        _jump(component, volume)\n", "", FLOOD_KERNELS),
    # dask
    Mutant("blockwise/_facts.py", "order = np.argsort(first, kind=", "order = np.argsort(-first, kind=", PROCESSING),
    Mutant("blockwise/_facts.py", "if sum(map(abs, shift)) > left:", "if sum(map(abs, shift)) > 0:", PROCESSING),
    Mutant("blockwise/_facts.py", "keep &= size >= min_size", "keep &= size > min_size", PROCESSING),
    Mutant("blockwise/_plans.py", "depth = tuple(w if n > 1", "depth = tuple(w // 2 if n > 1", DASK),
    # sweeps
    Mutant("blockwise/_made.py", "        if is_empty(mask):\n            for parent", "        if False:\n            for parent", f"{SWEEPS}::test_tiles_outside_the_mask_are_neither_read_nor_written"),
    Mutant("blockwise/_plans.py", "        if is_empty(mask):\n            return None", "        if False:\n            return None", f"{SWEEPS}::test_tiles_outside_the_mask_are_neither_read_nor_written"),
    Mutant("blockwise/_plans.py", "        self._keeps = False\n", "        return {}\n", f"{SWEEPS}::test_every_sweep_reads_a_tile_once_and_what_is_costly_is_made_once"),
    Mutant("blockwise/_labels.py", "if highest == 0 and not block.any():", "if False:", f"{SWEEPS}::test_tiles_outside_the_mask_are_neither_read_nor_written"),
    Mutant("blockwise/_objects.py", "if not self.holes and not table.any():", "if not table.any():", f"{SWEEPS}::test_tiles_of_any_size_give_the_labels_of_the_whole"),
    Mutant("blockwise/_recent.py", "self.memory.put(at, chunk, self.most)", "pass", f"{SWEEPS}::test_chunks_that_neighbours_meet_are_decoded_once"),
    Mutant("processing/_runs.py", "if connectivity > 1 and y < n_lines - 1:", "if connectivity > 2 and y < n_lines - 1:", f"{SWEEPS}::test_two_voxels_are_one_object_if_a_step_between_them_crosses_few_axes"),
    Mutant("running/_attempts.py", "            plan = self._went_on(told, fewer)\n        while True:", "        while True:", "tests/test_out_of_memory.py::test_with_less_memory_tiles_are_smaller_and_that_is_said"),
    # evaluation
    Mutant("evaluation/_matching.py", "if 0 not in predicted and 1 < len(ours) <= MAX_CLASSES:", "if False:", EVALUATION),
    Mutant("evaluation/_matching.py", "if 2 * len(shared) < max(", "if 2 * len(shared) < min(", EVALUATION),
    Mutant("evaluation/_matching.py", "(itself == most) & (itself > 0)", "itself > 0", EVALUATION),
    Mutant("evaluation/_matching.py", "objects = (table.truth != 0) & np.isin", "objects = np.isin", EVALUATION),
    Mutant("evaluation/_matching.py", "if 1 in (len(ours), len(theirs)):", "if False:", EVALUATION),
    Mutant("evaluation/_tables.py", "packed = packed * width + (key - low)", "packed = packed + (key - low)", EVALUATION),
    Mutant("evaluation/_tables.py", "kept = self.truth != ignore", "kept = self.truth > ignore", EVALUATION),
    Mutant("evaluation/overlap.py", "return ratio(self.tp, self.tp + self.fp + self.fn)", "return ratio(self.tp, self.tp + self.fp)", EVALUATION),
    Mutant("evaluation/overlap.py", "tn=frozen(n_voxels - tp - fp - fn)", "tn=frozen(n_voxels - tp - fp)", EVALUATION),
    Mutant("evaluation/overlap.py", "2 * only_found + 3 * only_truth", "3 * only_found + 2 * only_truth", EVALUATION),
    Mutant("evaluation/slices.py", "table.predicted % n + start", "table.predicted % n", SLICES),
    Mutant("evaluation/slices.py", "table.predicted // n + low", "table.predicted // n", SLICES),
    Mutant("evaluation/slices.py", "if (high - low + 1) * n > MAX_LABEL:", "if False:", SLICES),
    Mutant("evaluation/slices.py", "kept = np.ones(len(table), bool) if whole.ignore is None else", "kept = np.ones(len(table), bool) if True else", SLICES),
    Mutant("evaluation/slices.py", "there = ~np.isnan(chosen)", "there = chosen >= 0.5", SLICES),
    Mutant("evaluation/_object_scores.py", "ratio(2 * self.matched_iou, 2 * self.tp + self.fp + self.fn)", "ratio(2 * self.matched_iou, 2 * self.tp + self.fp)", OBJECT_SCORES),
    Mutant("evaluation/_pairing.py", "good = np.flatnonzero(iou >= threshold)", "good = np.flatnonzero(iou > threshold)", OBJECT_SCORES),
    Mutant("evaluation/_pairing.py", "covers = 2 * self.shared > self", "covers = 2 * self.shared >= self", OBJECT_SCORES),
    Mutant("evaluation/_pairing.py", "sizes[part] + 2 + iou", "3 + iou", OBJECT_SCORES),
    Mutant("evaluation/_pairing.py", "np.lexsort((other[largest], other[largest] == 0, at[largest]))", "np.lexsort((other[largest], at[largest]))", OBJECT_SCORES),
    Mutant("evaluation/_pairing.py", "((np.cumsum(sizes) - 1) // BATCH)[part]", "np.zeros_like(part)", OBJECT_SCORES),
    Mutant("evaluation/_pairing.py", "counted * (1 + math.sqrt(3) / 9 * iou) + judged *", "judged *", COMPLETE),
    Mutant("evaluation/_pairing.py", "+ judged * (math.sqrt(2) - 1)", "+ 0 * judged", COMPLETE),
    Mutant("evaluation/_fates.py", "lying = found.is_on_truth & found.is_judged[found.rows]", "lying = found.is_on_truth", COMPLETE),
    Mutant("evaluation/_fates.py", "np.bincount(found.rows[found.is_on_predicted], ", "np.bincount(found.on_predicted[found.on_predicted >= 0], ", OBJECT_SCORES),
    Mutant("evaluation/_fates.py", "found.is_counted.copy(), found.is_judged.copy()", "found.is_counted.copy(), np.ones_like(found.is_judged)", COMPLETE),
    Mutant("evaluation/_object_scores.py", "int(chosen[self.overlaps.is_counted].sum())", "int(chosen.sum())", COMPLETE),
    Mutant("evaluation/_object_scores.py", "is_right_or_wrong[found.rows[counting[0]]] = True", "is_right_or_wrong[found.rows[matched[0]]] = True", COMPLETE),
    Mutant("evaluation/losses.py", 'if dtype_name(truth) == "uint64":', "if False:", LOSSES),
    Mutant("evaluation/_pairing.py", "= unknown <= predicted_sizes", "= unknown < predicted_sizes", COMPLETE),
    Mutant("evaluation/_pairing.py", "complete.counts) > predicted_sizes + unknown", "complete.counts) > predicted_sizes", COMPLETE),
    Mutant("evaluation/_pairing.py", "complete.counts) > true_sizes", "complete.counts) >= true_sizes", COMPLETE),
    Mutant("evaluation/_object_scores.py", "counting = [at[found.is_counted[found.columns[at]]] for at in matched]", "counting = matched", COMPLETE),
    Mutant("evaluation/_fates.py", "np.lexsort((-found.shared, -found.iou, found.columns))", "np.lexsort((-found.iou, found.columns))", COMPLETE),
    Mutant("evaluation/_fates.py", "is_unused[found.rows[order[is_best]]] = False", "is_unused[found.rows[best]] = False", COMPLETE),
    Mutant("evaluation/objects.py", "(inside if ignore == 0 else inside.without(ignore))", "inside.without(ignore)", COMPLETE),
    Mutant("evaluation/_contingency.py", "count_block(predicted[~zone], truth[~zone])", "count_block(predicted, truth)", COMPLETE),
    Mutant("evaluation/_tables.py", "if self.unknown is not None:", "if False:", COMPLETE),
    Mutant("evaluation/_tables.py", "(np.cumsum(there) - 1)[labels - low]", "(np.cumsum(there) - 1)[labels - low - 1]", OBJECT_SCORES),
    Mutant("evaluation/partitions.py", "np.log2(sizes[row] / counts)", "np.log(sizes[row] / counts)", PARTITIONS),
    Mutant("evaluation/partitions.py", "if int(sizes.max()) ** 2 * len(sizes) <= MAX_LABEL:", "if True:", PARTITIONS),
    Mutant("evaluation/_partition_scores.py", "2 * (n * self.pairs_together - found * there)", "2 * (n * self.pairs_together - found * found)", PARTITIONS),
    Mutant("evaluation/_partition_scores.py", "a.covering * a.n_voxels for a", "a.covering * a.n_true for a", PARTITIONS),
    Mutant("evaluation/overlap.py", "_correlation(a * d - b * c, ", "_correlation(a * d + b * c, ", EVALUATION),
    Mutant("evaluation/overlap.py", "recalls = [a / b for a, b in zip(common, there, strict=True) if b]", "recalls = [a / b if b else 0.0 for a, b in zip(common, there, strict=True)]", EVALUATION),
    Mutant("evaluation/overlap.py", "by_chance = sum(map(mul, found, there))", "by_chance = sum(map(mul, there, there))", EVALUATION),
    Mutant("evaluation/slices.py", "np.broadcast_to(self.n_voxels[:, None], self.tp.shape)", "np.full_like(self.tp, self.n_voxels.max())", SLICES),
    Mutant("evaluation/losses.py", "whole = right + 2 * alpha * (found - common) + 2 * beta * (there - common)", "whole = right + 2 * beta * (found - common) + 2 * alpha * (there - common)", LOSSES),
    Mutant("evaluation/losses.py", "np.where(there > 0, there, there[there > 0].min()) ** -2.0", "np.where(there > 0, there, np.inf) ** -2.0", LOSSES),
    Mutant("evaluation/losses.py", "labels == k if several else labels != 0", "labels == k + 1 - several", LOSSES),
    Mutant("evaluation/losses.py", "counted = whole > 0", "counted = whole >= 0", LOSSES),
    Mutant("evaluation/losses.py", "np.minimum(a[0], b[0]), np.maximum(a[1], b[1])", "min(a[0], b[0]), max(a[1], b[1])", LOSSES),
    Mutant("evaluation/rank_changes.py", "if iou_says == dice_says:", "if iou_says + dice_says:", RANK_CHANGES),
    Mutant("evaluation/rank_changes.py", "(a, b) if iou_says > dice_says else (b, a)", "(a, b) if iou_says > 0 else (b, a)", RANK_CHANGES),
    Mutant("evaluation/rank_changes.py", "if pull[i] > SAME]", "if True]", RANK_CHANGES),
    Mutant("evaluation/rank_changes.py", "np.maximum.at(best, found.columns, found.iou)", "best[found.columns] = found.iou", RANK_CHANGES),
    Mutant("evaluation/rank_changes.py", "there = (evaluation.tp + evaluation.fn > 0) & wanted", "there = (evaluation.tp + evaluation.fp + evaluation.fn > 0) & wanted", RANK_CHANGES),
    Mutant("evaluation/rank_changes.py", "(difference > SAME) - (difference < -SAME)", "(difference > 0) - (difference < 0)", RANK_CHANGES),
    Mutant("evaluation/_surfaces.py", "own & _beside(outside), outside & _beside(own)", "own & _beside(outside), outside", BOUNDARIES),
    Mutant("evaluation/_surfaces.py", "(mask & known, ~mask & known)", "(mask & known, ~mask)", BOUNDARIES),
    Mutant("evaluation/_surfaces.py", "hd95=max(d.percentile", "hd95=min(d.percentile", BOUNDARIES),
    Mutant("evaluation/_surfaces.py", "stretch = max(weight / step", "stretch = min(weight / step", f"{BOUNDARIES}::test_a_tolerance_of_some_steps_reaches_that_many"),
    Mutant("evaluation/_surfaces.py", "length * stretch * (1 + SLACK), reach", "length * stretch, reach", f"{BOUNDARIES}::test_a_tolerance_may_be_the_diagonal_of_a_voxel_or_endless"),
    Mutant("evaluation/_box_reads.py", "together <= alone[rows].sum()", "together <= 0", f"{BOUNDARIES}::test_a_chunk_is_read_once_for_all_of_its_objects"),
    Mutant("evaluation/_box_reads.py", "(last - first).prod() <= most and together", "together", f"{BOUNDARIES}::test_groups_of_boxes_are_bounded_and_read_no_more_chunks"),
    Mutant("evaluation/_box_reads.py", "slice(at.start - start, at.stop - start)", "slice(at.start, at.stop)", f"{BOUNDARIES}::test_boxes_beyond_memory_are_read_one_by_one"),
    Mutant("evaluation/boundaries.py", "self.n_left_over_true if name not in SCORES else 0", "0", f"{BOUNDARIES}::test_objects_that_were_missed_count_in_means_of_all"),
    Mutant("evaluation/_boundary_rows.py", "return sizes / table.n_voxels", "return sizes / sizes.sum()", f"{BOUNDARIES}::test_prevalence_stands_beside_classes"),
    Mutant("evaluation/_surfaces.py", "math.nan if not n + m else 0.0", "math.nan", BOUNDARIES),
    Mutant("evaluation/_surfaces.py", 'np.cumsum(self.counts), [whole, min(whole + 1, self.n - 1)], side="right"', 'np.cumsum(self.counts), [whole, min(whole + 1, self.n - 1)], side="left"', BOUNDARIES),
    Mutant("evaluation/_boundary_rows.py", "margins = [int(n > 1) for n in shape]", "margins = [1 for n in shape]", BOUNDARIES),
    Mutant("evaluation/_boundary_rows.py", "padded(_read(part.truth, box, partial(_is_annotated, ignore=ignore)), pads, fill=True)", "padded(_read(part.truth, box, partial(_is_annotated, ignore=ignore)), pads, fill=False)", BOUNDARIES),
    Mutant("evaluation/_boundary_rows.py", "np.maximum(ours[1], theirs[1])", "ours[1]", BOUNDARIES),
    Mutant("evaluation/_boundary_rows.py", "> 1 and labels[0] != 0 else labels", "> 1 else labels", BOUNDARIES),
    Mutant("evaluation/_boxes.py", "np.append(np.int64(0), found.label)", "np.append(found.label, np.int64(0))", BOUNDARIES),
    Mutant("evaluation/boundaries.py", "max(WIDTH * diagonal, *edges) if width", "WIDTH * diagonal if width", BOUNDARIES),
    Mutant("_writing.py", "if not overwrite:", "if False:", EVALUATION),
    # parts of an image, and the statistics that they share
    Mutant("_selection.py", "if axis in self.each else [slice(*ends)]", "if axis in self.each else [slice(0, ends[1])]", SELECTION),
    Mutant("_selection.py", "index - start if isinstance(index, int)", "index if isinstance(index, int)", SELECTION),
    Mutant("running/_steps.py", "labels + labels.dtype.type(n_before)", "labels", SELECTION),
    Mutant("_statistics.py", "total = swept_part.summary if i == 0 else", "total = swept_part.summary if True else", STATISTICS),
    Mutant("_statistics.py", "self.n_questions += 1", "self.n_questions = 1", STATISTICS),
    Mutant("processing/_chosen.py", "return decide(gathered(None, [sweep], classes))", "return decide(sweep.chunk(None, classes))", STATISTICS),
    # recipes
    Mutant("_chain.py", "if source.sha256 != parent.sha256:", "if False:", CHAIN),
    Mutant("_chain.py", "if step not in self.steps:", "if True:", CHAIN),
    Mutant("_chain.py", 'source.dtype != "uint8" and not entry.frames', 'source.dtype != "uint8"', f"{CHAIN}::test_frames_are_linked_after_what_numbered_their_objects_and_nothing_goes_on_from_there"),
    Mutant("processing/_links.py", "(2 * shared > size[later])", "(2 * shared >= size[later])", f"{LINK}::test_a_division_a_gap_and_an_end_by_hand"),
    Mutant("processing/_links.py", "goes_on[earlier[next_to & (2 * shared > union)]] = True", "pass", f"{LINK}::test_a_division_a_gap_and_an_end_by_hand"),
    Mutant("processing/_links.py", "rank[earlier[useful]], -overlap[useful], gap[useful]", "rank[earlier[useful]], gap[useful], -overlap[useful]", f"{LINK}::test_a_division_a_gap_and_an_end_by_hand"),
    Mutant("processing/_links.py", "order = np.lexsort((first, frame))", "order = np.lexsort((label, frame))", f"{LINK}::test_objects_stay_apart_names_do_not_matter_and_nothing_is_looked_at_ahead"),
    Mutant("processing/_links.py", "if low >= 0 and high < DENSE:", "if high < DENSE:", f"{LINK}::test_objects_stay_apart_names_do_not_matter_and_nothing_is_looked_at_ahead"),
    Mutant("blockwise/_linked.py", "region[0].start - rule.max_gap - 1", "region[0].start - 1", f"{LINK}::test_a_division_a_gap_and_an_end_by_hand"),
    Mutant("running/_linking.py", "frame % n * plane + first", "first", f"{LINK}::test_slices_of_a_volume_become_objects_and_then_frames_are_linked"),
    Mutant("running/_store_attempt.py", "links=rule is not None,", "links=False,", f"{LINK}::test_a_run_on_a_store_links_in_tiles_and_resumes"),
    Mutant("_sources.py", "narrow = _smallest(run)", "narrow = run", STORED),
    Mutant("methods/_flood.py", "if reached and records[r, KEY] == passed", "if records[r, KEY] == passed", "tests/test_watershed.py::test_a_key_that_looks_like_a_turn_is_none"),
    # floods in tiles
    Mutant("methods/_tile_passes.py", "cross[b] = min(cross[a], cross[b])", "pass", f"{STITCH}::test_noise_floods_tiles_in_sweeps_as_the_whole"),
    Mutant("methods/_tile_passes.py", "height[z, y, x] = max(records[p, 0], over[region]) + lowest", "height[z, y, x] = records[p, 0] + lowest", TILED_FLOOD),
    Mutant("methods/_tile_loops.py", "if distance[q] < distance[p] - 1:", "if distance[p] == UNKNOWN and distance[q] < UNKNOWN:", f"{STITCH}::test_a_shorter_way_through_more_tiles_wins_in_the_end"),
    Mutant("methods/_tile_loops.py", "weight[joins[at, 2]] if a == 0 else level[a]", "weight[joins[at, 2]]", TILED_FLOOD),
    Mutant("methods/_tile_levels.py", "order = np.lexsort((weight, pair))", "order = np.lexsort((-weight.astype(np.float64), pair))", TILED_FLOOD),
    Mutant("methods/_tile_labels.py", "    while len(farther):\n", "    if len(farther):\n", f"{STITCH}::test_distances_cross_tiles_as_often_as_a_zone_does"),
    Mutant("methods/_tiles.py", '"measuring distances across tiles", where_nearer, reads', '"measuring distances across tiles", reads', f"{STITCH}::test_distances_cross_tiles_as_often_as_a_zone_does"),
    Mutant("processing/_seams.py", "keep = common >= rule.threshold * of", "keep = common > rule.threshold * of", "tests/test_seams.py::test_tiles_that_overlap_give_the_objects_of_the_whole"),
    Mutant("processing/_seams.py", "worth = (first, -common, -share)", "worth = (first, -common, share)", "tests/test_seams.py::test_the_rule_is_that_of_plain_python"),
    Mutant("processing/_seams.py", "_best(pairs[0], worth) & _best(pairs[1], worth)", "_best(pairs[0], worth)", "tests/test_seams.py::test_the_rule_is_that_of_plain_python"),
    Mutant("processing/stitch.py", "second = _inside_by(boxes[j], common, shape) > _inside_by(boxes[i], common, shape)", "second = _inside_by(boxes[j], common, shape) < _inside_by(boxes[i], common, shape)", "tests/test_seams.py::test_tiles_may_lie_anywhere_and_overlap_as_they_do"),
    Mutant("processing/stitch.py", "thick, n = 2 * self.depth[axis] or 1,", "thick, n = 1,", "tests/test_seams.py::test_tiles_that_overlap_give_the_objects_of_the_whole"),
    Mutant("methods/_tile_minima.py", "barred[root[np.concatenate(bars)]] = True", "pass", TILED_MINIMA),
    Mutant("methods/_tile_minima.py", "first, second = (a > 0) & (b > 0), (a > 0) & (b < 0), (a < 0) & (b > 0)", "first, second = (a > 0) & (b > 0), (a > 0) & (b < 0), (a < 0) & (b < 0)", TILED_MINIMA),
    Mutant("methods/_separation.py", "order = np.lexsort((tops.place, tops.level, tops.part))", "order = np.lexsort((tops.place, -tops.level, tops.part))", "tests/test_minima.py"),
    Mutant("blockwise/_stitch.py", "if self._n_running == 0:", "if False:", f"{STITCH}::test_a_driver_asks_another_once_and_forgets_the_answer"),
    # objects
    Mutant("methods/objects.py", "chosen = _chosen(labels, _checked(classes))", "chosen = labels", OBJECTS),
    Mutant("methods/objects.py", "((a != b) & (a != 0) & (b != 0))", "((a != b) & (a != 0))", OBJECTS),
    Mutant("methods/objects.py", "Halo(lines, (1,) * labels.ndim, dtype)", "Halo(lines, (0,) * labels.ndim, dtype)", OBJECTS),
    # floods on the host
    Mutant("methods/_flood.py", "elif there != label and records[q, KEY] == now:", "elif False:", WATERSHED),
    Mutant("methods/_flood.py", "if walls.size > 0 and walls[q, 0] != walls[p, 0]:", "if False:", WATERSHED),
    Mutant("methods/_flood.py", "connected = records[q, LABEL] == 0 and", "connected = True or", WATERSHED),
    Mutant("methods/_flood.py", "if records[q, KEY] < level:\n                lowest = False", "if records[q, KEY] <= level:\n                lowest = False", MINIMA),
    Mutant("methods/_bucket_queue.py", "coarse[bucket, HELD] if chunk == coarse[bucket, LAST] else CHUNK", "coarse[bucket, HELD]", WATERSHED),
    Mutant("methods/_bucket_queue.py", "state[WORD] = low >> 6", "state[WORD] = (low >> 6) + 1", WATERSHED),
    Mutant("methods/_voxel_grid.py", "if grid.size > MAX_PLACES:", "if False:", WATERSHED),
    Mutant("methods/_voxel_grid.py", "SPARE = 1.25", "SPARE = 9.0", WATERSHED),
    Mutant("methods/_flood.py", "        records[p, KEY] = SEED\n    return", "    return", WATERSHED),
    Mutant("blockwise/_stitch.py", "while math.prod(edges) > TILE_VOXELS:", "while False:", STITCH),
    Mutant("blockwise/_stitch.py", "            with quiet():\n", "            if True:\n", STITCH),
    Mutant("methods/_keys.py", "elif word & np.uint32(0x7FFFFFFF) == 0:", "elif word == 0:", WATERSHED),
    Mutant("methods/_keys.py", "if high - low >= OUTSIDE:", "if False:", WATERSHED),
    Mutant("methods/_keys.py", "rise = min(math.floor(height), high - low)", "rise = min(math.ceil(height), high - low)", MINIMA),
    Mutant("methods/watershed.py", "return mask if mask is None or dtype_name(mask) == \"bool\" else mask != 0", "return mask", WATERSHED),
    Mutant("methods/watershed.py", "if low < 0 or high > MAX_LABEL:", "if high > MAX_LABEL:", MINIMA),
    Mutant("methods/_separation.py", ".sum(axis=1) < reach**2", ".sum(axis=1) <= reach**2", MINIMA),
    Mutant("methods/_separation.py", "np.lexsort((tops.place, tops.level, tops.part))", "np.lexsort((tops.place, tops.part))", MINIMA),
    Mutant("processing/filters.py", "return xp.where(xp.isnan(here), here, rise)", "return rise", PROCESSING),
    Mutant("processing/labels.py", "(found.sizes < found.min_size)", "(found.sizes <= found.min_size)", PROCESSING),
    Mutant("processing/labels.py", "with alone():", "if True:", PROCESSING),
    Mutant("methods/_separation.py", "with alone():", "if True:", MINIMA),
    Mutant("_compiled.py", "found.update(Path(part.py_func.__code__.co_filename).read_bytes())", "pass", COMPILED),
    Mutant("running/_footprint.py", "return max(catalog.find(step.method).working, FILTERING if filtering else 0.0)", "return 0.0", FOOTPRINT),
    # features
    Mutant("processing/features.py", '"structure": (2, 1)', '"structure": (1, 1)', FEATURES),
    Mutant("processing/features.py", '"hessian": (1, 1)', '"hessian": (1, 0)', FEATURES),
    Mutant("processing/_smoothed.py", "square = self.scale * self.scale", "square = self.scale", FEATURES),
    Mutant("processing/_smoothed.py", "_finite_or_nan(levels), weights, scale", "levels, weights, scale", FEATURES),
    Mutant("processing/_smoothed.py", "(xp.where(xp.isnan(side), here, side) for side in sides)", "sides", FEATURES),
    Mutant("processing/_eigenvalues.py", "xp.where(rest > 0.0, rest, zero)", "rest", FEATURES),
    Mutant("processing/_eigenvalues.py", "if det >= 0.0:", "if det > 0.0:", FEATURES),
    Mutant("processing/_eigenvalues.py", "scale = abs(yx) if abs(yx) > scale else scale", "scale = scale", FEATURES),
    Mutant("processing/_eigenvalues.py", "xp.where(p > 0.0, p, one)", "p", FEATURES),
    Mutant("processing/_weighted_means.py", "2 * n - 1 - at", "2 * n - 2 - at", MEANS),
    Mutant("processing/_weighted_means.py", "row[reach - x] =", "row[x - 1] =", MEANS),
    Mutant("blockwise/_plans.py", "read, depth = _with_halos(_in_step(arrays), width)", "read, depth = _with_halos(_in_step(arrays), None)", FEATURES),
    # clusters
    Mutant("_arithmetic.py", "ROUNDER = 1.5 * 2.0 ** (52 - QUANTUM_BITS)", "ROUNDER = 0.0", f"{ARITHMETIC}::test_sums_of_rounded_values_do_not_depend_on_their_order"),
    Mutant("_arithmetic.py", "(values - n * LN2_HIGH) - n * LN2_LOW", "values - n * LN2_HIGH", f"{ARITHMETIC}::test_exponentials_are_right_to_about_the_last_place"),
    Mutant("_arithmetic.py", "return xp.where(values > LOWEST, series * powers, xp.zeros_like(series))", "return series * powers", f"{ARITHMETIC}::test_exponentials_at_the_ends_of_their_range"),
    Mutant("_arithmetic.py", "for _ in range(6):\n        large", "for _ in range(5):\n        large", f"{ARITHMETIC}::test_logarithms_of_sums_are_right_to_a_billionth"),
    Mutant("methods/_lloyd.py", "if k == 0 or distance[i] < best[i]:", "if k == 0 or distance[i] <= best[i]:", f"{CLUSTER}::test_a_sweep_by_hand"),
    Mutant("methods/_lloyd.py", "closer = distance < best", "closer = distance <= best", f"{CLUSTER}::test_a_sweep_by_hand_on_every_library"),
    Mutant("methods/_lloyd.py", "converged=shift <= tolerance and not len(empty),", "converged=shift <= tolerance,", f"{CLUSTER}::test_a_cluster_without_voxels_begins_again_farthest_from_every_centre"),
    Mutant("methods/_lloyd.py", "kept = replace(kept, centres=np.vstack([kept.centres, centres[k]]))", "pass", f"{CLUSTER}::test_a_cluster_without_voxels_begins_again_farthest_from_every_centre"),
    Mutant("methods/_lloyd.py", "if best is None or found.inertia < best.inertia:", "if True:", f"{CLUSTER}::test_more_starts_are_never_worse"),
    Mutant("methods/_lloyd.py", "lost = np.bincount(at, np.minimum(second, new) - kept, len(best.centres))", "lost = np.bincount(at, second - kept, len(best.centres))", f"{LLOYD}::test_a_swap_gives_up_the_centre_that_costs_least"),
    Mutant("methods/_lloyd.py", "        if found.inertia < best.inertia:\n            best = found\n    best = _iterated", "        best = found\n    best = _iterated", f"{LLOYD}::test_swaps_are_kept_where_they_help"),
    Mutant("methods/_lloyd.py", "elif distance < second[i]:", "elif False:", f"{LLOYD}::test_the_two_nearest_centres_are_those_of_a_table_of_distances"),
    Mutant("methods/_lloyd.py", "if _all_met(found, sample):", "if False:", f"{LLOYD}::test_more_centres_than_different_voxels_do_not_chase_them"),
    Mutant("methods/_lloyd.py", "if not converged and n < left:", "if False:", f"{LLOYD}::test_compiled_iterations_are_sweeps_and_moves"),
    Mutant("_arithmetic.py", "LARGE_ROUNDER = 1.5 * 2.0**60", "LARGE_ROUNDER = 0.0", f"{ARITHMETIC}::test_parts_of_large_values_sum_up_in_any_order"),
    Mutant("methods/_clusters.py", "found = distinct(sample, standard.n_used, wanted)", "found = wanted", f"{CLUSTER}::test_more_clusters_than_different_voxels_are_refused"),
    Mutant("methods/_clusters.py", "return classes if known is None else classes *", "return classes if True else classes *", f"{CLUSTER}::test_voxels_that_are_not_finite_in_one_channel_do_not_count"),
    Mutant("methods/_columns.py", "width[used] = np.sqrt(np.mean(width[used] ** 2))", "pass", f"{CLUSTER}::test_columns_that_are_not_standardised_keep_their_variances_beside_each_other"),
    Mutant("methods/_columns.py", "order = np.lexsort(found.at[::-1])", "order = np.arange(found.at.shape[1])", f"{CLUSTER}::test_any_chunks_give_the_labels_and_facts_of_the_whole"),
    Mutant("methods/_columns.py", 'part = rounded(sample[:n_used, start : start + 1024].T.astype(np.float64, order="C"))', 'part = sample[:n_used, start : start + 1024].T.astype(np.float64, order="C")', f"{CLUSTER}::test_grey_levels_that_an_extreme_one_hides_are_refused_and_not_one_class_short"),
    Mutant("methods/_columns.py", "if span and not (math.isfinite(span)", "if False and not (math.isfinite(span)", f"{CLUSTER}::test_numbers_near_the_ends_of_a_dtype"),
    Mutant("methods/_columns.py", "0 < high - low < N_BINS and", "0 > high - low and", f"{CLUSTER}::test_integers_that_floats_cannot_tell_apart_are_refused_in_any_channel"),
    Mutant("methods/_mixture.py", "weights=counts / counts.sum(),", "weights=np.full_like(counts, 1 / len(counts)),", f"{MIXTURE}::test_one_iteration_is_that_of_scikit_learn"),
    Mutant("methods/_mixture.py", "alive = counts > MIN_COUNT", "alive = counts > -1", f"{MIXTURE}::test_a_component_that_no_voxel_belongs_to_keeps_its_place_and_fades"),
    Mutant("methods/_mixture.py", "spread = second - shift[:, :n_used, None] * shift[:, None, :n_used]", "spread = second", f"{MIXTURE}::test_one_iteration_is_that_of_scikit_learn"),
    Mutant("methods/_mixture.py", "raised = np.maximum(lengths, found.floor)", "raised = lengths", f"{MIXTURE}::test_no_component_is_narrower_than_the_floor_in_any_direction"),
    Mutant("methods/_mixture.py", '"spherical": k}', '"spherical": k * n}', f"{MIXTURE}::test_shapes_cost_what_they_have_parameters"),
    Mutant("methods/_mixtures.py", "bin_width = float(np.diff(histogram.edges).min()) / deviation", "bin_width = float(np.diff(occupied.edges).min()) / deviation", f"{MIXTURE}::test_rare_grey_levels_far_apart_are_two_classes"),
    Mutant("methods/_mixtures.py", "safe = xp.where(share == 0, xp.ones_like(share), share)", "safe = xp.where(share > 0, share, xp.ones_like(share))", f"{MIXTURE}::test_probabilities_agree_with_labels_and_uncertainty"),
    Mutant("methods/_mixtures.py", "return found.n_parameters * math.log(counted_as)", "return found.n_parameters", f"{MIXTURE}::test_shapes_cost_what_they_have_parameters"),
    Mutant("methods/_mean_field.py", "share if known is None else _where(known, share)", "share", f"{MIXTURE}::test_the_mean_field_by_hand"),
    Mutant("methods/_mean_field.py", "nearness = [min(edges) / edge for edge in edges]", "nearness = [1.0 for edge in edges]", f"{MIXTURE}::test_the_mean_field_by_hand"),
    Mutant("methods/cluster.py", "width = tuple(w + N_ITERATIONS for w in self.width)", "width = self.width", f"{MIXTURE}::test_small_blocks_and_chunks_give_the_labels_and_facts_of_large_ones"),
    Mutant("_plan.py", "if not any(derived.width):", "if True:", f"{PLAN}::test_what_is_made_of_a_block_sees_its_neighbourhood_and_is_cut_to_it"),
    Mutant("blockwise/_plans.py", "slice(depth if at else 0, -depth", "slice(depth, -depth", f"{BLOCKWISE}::test_a_driver_sweeps_as_often_as_it_is_needed"),
    # what a paper says
    Mutant("_references.py", "return value == equal if equal else", "return True if equal else", f"{CITATIONS}::test_a_threshold_cites_its_own_rule"),
    Mutant("_references.py", "return SPECIAL[self.condition] is several", "return True", f"{CITATIONS}::test_works_follow_what_ran"),
    Mutant("_references.py", '["others"] * self.more_authors', "[]", f"{CITATIONS}::test_each_kind_of_reference_is_read"),
    Mutant("_references.py", 'for sign in "{}&%$#_"', 'for sign in "{}&%$#"', f"{CITATIONS}::test_what_is_escaped_reads_as_it_was"),
    Mutant("_references.py", "+ self.place[\"year\"] + first", "+ self.place[\"year\"]", f"{CITATIONS}::test_a_work_is_listed_once_and_in_order"),
    Mutant("_citations.py", "works = {one.key: one for", "works = {one.short: one for", f"{CITATIONS}::test_a_work_is_listed_once_and_in_order"),
    Mutant("_citations.py", 'settings["low"] is not None is not settings["high"]', 'settings["low"] or settings["high"]', f"{CITATIONS}::test_works_follow_what_ran"),
    Mutant("_citations.py", 'selection.channel == "all")', "selection.channel is not None)", f"{CITATIONS}::test_works_follow_what_ran"),
    Mutant("cli/_cite.py", "if bibtex.exists() and recipe.exists() and bibtex.samefile(recipe):", "if False:", f"{CITE}::test_a_recipe_is_not_written_over"),
    Mutant("cli/_cite.py", "version=version)", "version=None)", f"{CITE}::test_what_a_command_wrote_names_the_version_that_ran"),
    # comparing methods
    Mutant("comparison/_units.py", "ndimage.label(mask, np.ones((3,) * mask.ndim))", "ndimage.label(mask)", COMPARISON),
    Mutant("comparison/_units.py", "min(n_folds, int(sizes.min()))", "n_folds", COMPARISON),
    Mutant("comparison/_units.py", "fold[rng.permutation(at)] = (begun[label] + ", "fold[rng.permutation(at)] = (0 * ", COMPARISON),
    Mutant("comparison/_units.py", "if len(images) >= MIN_IMAGES:", "if False:", COMPARISON),
    Mutant("comparison/_tallies.py", "seen = tally.counts[tuning].sum(axis=0)", "seen = tally.counts.sum(axis=0)", COMPARISON),
    Mutant("comparison/_tallies.py", "result[..., 1] = found.sum(axis=2) - tp", "result[..., 1] = found.sum(axis=1) - tp", COMPARISON),
    Mutant("comparison/_tallies.py", "homes[1][overlaps.columns[pairs]], 1)", "homes[0][overlaps.rows[pairs]], 1)", COMPARISON),
    Mutant("comparison/_confidence.py", "np.maximum.accumulate(scaled)", "scaled", COMPARISON),
    Mutant("comparison/_confidence.py", "differences >= differences[0] - ROUNDING", "differences > differences[0] + ROUNDING", COMPARISON),
    Mutant("comparison/_trial.py", "list(self.known) if final and not self.contestant.strokes else self._search", "list(self.known) if self.known else self._search", COMPARISON),
    Mutant("comparison/_trial.py", "return 1.0 if score != score else score", "return score", COMPARISON),
    Mutant("comparison/_tallies.py", "2 * overlaps.predicted_sizes >= _sizes(labels, overlaps.predicted)", "overlaps.predicted_sizes > 0", COMPARISON),
    Mutant("comparison/_tuning.py", "trial.report(score, rung + 1)", "trial.report(score, rung)", COMPARISON),
    Mutant("comparison/_tuning.py", "min(typical.high, longest / 2) if typical.length else typical.high", "typical.high", COMPARISON),
    Mutant("comparison/_trial.py", "np.where((units >= 0) & tuning[units],", "np.where((units >= 0),", COMPARISON),
    Mutant("comparison/_trial.py", "held_out = ~tuning if n_folds > 1 else tuning", "held_out = tuning", COMPARISON),
    Mutant("comparison/_trial.py", "(NEAR if self.contest.on_strokes else 0)", "NEAR", COMPARISON),
    Mutant("comparison/_preparation.py", '"dark" if np.median(inside) < np.median(outside)', '"dark" if np.median(inside) > np.median(outside)', COMPARISON),
    Mutant("comparison/leaderboard.py", "other.score > places[i].score", "other.score >= places[i].score", COMPARISON),
    Mutant("running/_known_steps.py", "if not all(_is_same(ran.arrays[name], array) for name, array in arrays.items()):", "if False:", f"{COMPARISON}::test_a_step_is_known_only_of_the_same_settings_and_the_very_same_arrays"),
    Mutant("running/_execute.py", "time.perf_counter() - start + known.seconds", "time.perf_counter() - start", f"{COMPARISON}::test_a_step_is_known_only_of_the_same_settings_and_the_very_same_arrays"),
    Mutant("running/_steps.py", "if is_kept and not is_lazy(labels):", "if False:", f"{COMPARISON}::test_regions_that_no_stroke_can_change_are_made_once_for_all_folds"),
    Mutant("comparison/_cuts.py", 'return "regions" if any(', 'return "mask" if any(', "tests/test_cuts.py"),
    Mutant("comparison/_cuts.py", 'not known & {"objects", "surface"}', "not known", "tests/test_cuts.py"),
    Mutant("cli/_said.py", "if len(there) > MANY or _numbers_regions(method):", "if _numbers_regions(method):", "tests/test_cli.py::test_regions_are_counted_and_not_listed"),
    Mutant("cli/_said.py", "entry.needs == \"image\" and all(p.name != \"objects\" for p in entry.settings)", "False", "tests/test_cli.py::test_regions_are_counted_and_not_listed"),
    Mutant("demo.py", 'if "window" not in known:', "if True:", f"{DEMO}::test_cleaned_rows_do_more_around_the_same_cut"),
    Mutant("demo.py", " and not _needs_a_level(entry.recipe)", "", f"{DEMO}::test_rows_and_scores_are_those_of_compare"),
    Mutant("demo.py", "    if case.ignore != 0:", "    if True:", f"{DEMO}::test_your_own_strokes_are_compared_once"),
    Mutant("demo.py", "labels = np.where(labels == case.strokes.max(), 0, labels)", "pass", f"{DEMO}::test_strokes_of_the_background_are_no_object_in_the_picture"),
    Mutant("demo.py", "replace(trial.recipe, selection=None)", "trial.recipe", f"{DEMO}::test_a_volume_is_cut_as_a_whole_although_a_plane_was_tried"),
    Mutant("demo.py", "return f1 if f1 == f1 else 0.0", "return 0.0", f"{DEMO}::test_of_rows_that_split_the_picture_shows_the_one_with_the_best_objects"),
    Mutant("demo.py", "found.setdefault(one.row.name, one)", "found[one.row.name] = one", f"{DEMO}::test_labels_are_those_of_the_recipes"),
    # what a widget works on
    Mutant("widgets/_layers.py", "s * f + (f - 1) / 2", "s * f", TARGET),
    Mutant("widgets/_target.py", "index = min(max(int(extent.point[at] / f), 0), n - 1)", "index = min(max(int(extent.point[at]), 0), n - 1)", TARGET),
    Mutant("widgets/_preview_job.py", "            box, fits = widened(", "            box, fits = (lambda region, *_: (region.box, True))(", JOB),
    Mutant("widgets/_preview_job.py", "if reach.floods:", "if False:", f"{JOB}::test_what_is_small_is_flooded_whole_for_a_part_of_it_and_counted"),
    Mutant("widgets/_preview_job.py", "if (stages & FLOODING or self.job.by_planes) and not self._covers(box):", "if False:", f"{JOB}::test_a_flood_of_a_part_says_of_which"),
    Mutant("widgets/_preview_job.py", "one.labels if keeps_labels(self.recipe) else ", "", f"{JOB}::test_labels_of_markers_mean_the_same_in_every_slice"),
    Mutant("running/_steps.py", "found if keeps or rule else ", "", f"{JOB}::test_labels_of_markers_mean_the_same_in_every_slice"),
    Mutant("widgets/_preview_arrays.py", "held[name] = source.lowered(factor, shape)[index]", "held[name] = _nearest(source, factor, index)", f"{JOB}::test_points_are_markers_on_every_level"),
    Mutant("widgets/_points.py", "[:, -len(shape) :]", "[:, : len(shape)]", "tests/widgets/test_points.py"),
    Mutant("widgets/_points.py", "beyond[:-1, :-1] @ own.translate + beyond[:-1, -1]", "own.translate + beyond[:-1, -1]", "tests/widgets/test_points.py"),
    Mutant("widgets/_found.py", "or 2 * dust < len(sizes)", "or dust < len(sizes)", "tests/widgets/test_found.py"),
    Mutant("widgets/_found.py", "sizes < DUST", "sizes <= DUST", "tests/widgets/test_found.py"),
    Mutant("widgets/_found.py", 'device.get("asked") == "gpu" != device["used"]', 'device.get("asked") == "gpu"', "tests/widgets/test_found.py"),
    Mutant("widgets/_found.py", "if seconds < 60:", "if seconds <= 60:", "tests/widgets/test_found.py"),
    Mutant("methods/histogram.py", "np.sort(heights)[-n_wanted]", "np.sort(heights)[-1]", HISTOGRAM),
    Mutant("widgets/_found.py", "np.bincount(labels.reshape(-1), minlength=1)[1:]", "np.bincount(labels.reshape(-1), minlength=1)", "tests/widgets/test_found.py"),
    Mutant("methods/objects.py", ', keeps="labels", extras=("edit",))', ', extras=("edit",))', SELECTION),
    Mutant("running/_steps.py", "step = recipe.steps[number - 1]", "return False", SELECTION),
    Mutant("running/_steps.py", "if highest > most:", "if False:", SELECTION),
    Mutant("_checks.py", "if isinstance(labels, np.ma.MaskedArray):", "if False:", ARGUMENTS),
    Mutant("widgets/_points.py", "[shown].tolist())", ".tolist())[shown]", "tests/widgets/test_points.py"),
    Mutant("evaluation/_object_errors.py", "ours if rank[ours] > rank[theirs] else theirs", "ours if rank[ours] >= rank[theirs] else theirs", OBJECT_ERRORS),
    Mutant("evaluation/_object_errors.py", "xp.where(xp.take(names, at) == flat, xp.take(found, at), xp.zeros_like(flat))", "xp.take(found, at)", OBJECT_ERRORS),
    Mutant("evaluation/_object_errors.py", 'ours = dict.fromkeys(overlaps.predicted.tolist(), OBJECT_KINDS["matched"].label)', "ours = {}", OBJECT_ERRORS),
    Mutant("widgets/_planes.py", '_Kind(_Edges, frozenset({"scale", "min_size"}))', '_Kind(_Edges, frozenset({"scale", "min_size", "sigma"}))', f"{PLANES}::test_edges_are_put_in_order_once_for_all_scales"),
    Mutant("widgets/_planes.py", '_Kind(_Tree, frozenset({"n_regions", "threshold"}))', "_Kind(_Tree, frozenset())", f"{PLANES}::test_superpixels_and_merges_are_made_once"),
    Mutant("widgets/_planes.py", "edge = (math.prod(whole) / n) ** (1 / len(whole))", "edge = (math.prod(whole) / n) ** 0.5", f"{PLANES}::test_superpixels_of_a_part_are_as_large_as_in_the_run"),
    Mutant("widgets/_planes.py", 'min(settings["connectivity"] or 1,', 'min(settings["connectivity"] or 2,', f"{PLANES}::test_a_slice_of_a_volume_is_run_by_itself_as_two_axes"),
    Mutant("widgets/_preview_region.py", " or _voxels(whole) <= kept", "", f"{PLANES}::test_all_of_a_plane_that_is_small_is_run_however_little_is_in_view"),
    Mutant("widgets/_recut.py", 'np.take(cut.table, numbers, out=plane, mode="clip")', "pass", f"{PLANES}::test_every_cut_is_what_the_method_gives_and_a_box_may_come_first"),
    Mutant("widgets/_hierarchy_row.py", "return token_of(given.layer) == self._token or given.untouched()", "return True", f"{GRAPH_BASED}::test_what_a_user_has_edited_is_left_alone"),
    Mutant("widgets/_hierarchy_row.py", "            layer.editable = False", "            pass", f"{GRAPH_BASED}::test_of_a_large_result_the_view_comes_first_and_then_the_rest"),
    Mutant("widgets/_live.py", "or self._slot is not slot", "", f"{LIVE}::test_only_the_region_that_changed_is_written"),
    Mutant("widgets/_live.py", " and np.array_equal(held.reshape(self._shown.shape), self._shown)", "", f"{LIVE}::test_an_edit_that_nobody_tells_of_is_kept"),
    Mutant("widgets/_live.py", "np.where(self._found == 0, np.float32(np.nan), found)", "np.where(True, found, found)", f"{LIVE}::test_where_no_stroke_leads_there_is_no_probability"),
    Mutant("widgets/_probability_row.py", "            added.layer.refresh(extent=False)", "            pass", f"{LIVE}::test_probabilities_follow_the_strokes"),
    Mutant("widgets/_probability_row.py", "        result.events.data.connect(self._mark_all)", "        pass", f"{LIVE}::test_probabilities_that_cannot_follow_say_so"),
    Mutant("widgets/_probability_row.py", "            self._renew(result)", "            pass", f"{LIVE}::test_a_stroke_while_probabilities_are_computed_is_in_them"),
    Mutant("cli/_run.py", "elif message != said:", "else:", "tests/test_cli.py::test_a_warning_is_said_once"),
    Mutant("_array.py", 'if library(given) == "zarr"', 'if False', "tests/test_array.py::test_zarr_arrays_are_read_as_it_says"),
    Mutant("widgets/_live_row.py", "if _is_being_painted(self._strokes):", "if False:", f"{LIVE}::test_nothing_runs_while_a_stroke_is_being_painted"),
    Mutant("widgets/_live_row.py", "                kept.put_back(given.data)", "                pass", f"{LIVE}::test_an_update_that_is_cancelled_leaves_the_result"),
    Mutant("widgets/_live_row.py", "grown.labels[within] = self.labels", "pass", f"{LIVE}::test_what_is_kept_of_two_regions_is_what_was_there_before_both"),
    Mutant("widgets/_live_row.py", "frame.bar.stopping.connect(self._forget_pending)", "pass", f"{LIVE}::test_cancel_forgets_strokes_that_wait"),
    Mutant("widgets/_live_row.py", "(selection.cut(markers, part) > 0).any()", "markers.any()", f"{LIVE}::test_a_slice_without_a_result_waits_for_run"),
    Mutant("widgets/_live_row.py", "if not self.box.isChecked():  # any more", "if False:", f"{LIVE}::test_a_stroke_that_comes_to_be_slow_starts_nothing"),
    Mutant("widgets/_live.py", "inputs[painted] = np.array(inputs[painted])", "pass", f"{LIVE}::test_strokes_that_go_on_while_it_runs_are_no_part_of_it"),
    Mutant("widgets/_live.py", 'return gpu_known() and choice_for(request.recipe, request.inputs, "auto").used == "gpu"', "return gpu_known()", f"{LIVE}::test_only_what_would_run_on_the_gpu_is_left_to_it"),
    Mutant("widgets/_found.py", ' or "approximate" in facts:', ":", "tests/widgets/test_found.py"),
    Mutant("widgets/_live_row.py", "elif self._frame.results.is_free(given):", "else:", f"{LIVE}::test_an_edit_while_it_sharpens_is_kept"),
    Mutant("widgets/_class_maps.py", "maps[(labels.index(label), *place)] = image", "maps[(some.index(label), *place)] = image", f"{LIVE}::test_slices_may_have_other_labels"),
    Mutant("widgets/_agreement.py", "for other in others if other.mark == mark]", "for other in others]", AGREEMENT),
    Mutant("widgets/_agreement.py", "if other.items.get(kind, {}).keys() == scores.keys()]", "if kind in other.items]", AGREEMENT),
    Mutant("widgets/_agreement.py", "in reversed(all_of_them):", "in all_of_them:", AGREEMENT),
    Mutant("widgets/_agreement.py", "return int(there[0]) if before in there else nearest", "return nearest", AGREEMENT),
    Mutant("widgets/_question.py", 'return 0 if self.unpainted == "not annotated" else None', "return None", AGREEMENT),
    Mutant("widgets/_warm_up.py", "        _WARM.add(self.key)", "        pass", "tests/widgets/test_warm_up.py"),
    Mutant("processing/points.py", "(index >= 0) & ", "", "tests/test_points.py"),
    Mutant("processing/points.py", "2.0**52) + 0.5)", "2.0**52) + 0.4)", "tests/test_points.py"),
    # reports
    Mutant("reporting/_page.py", "autoescape=True", "autoescape=False", f"{REPORT}::test_names_are_words_and_no_code"),
    Mutant("reporting/_plots.py", 'rf"\\g<1>{name}-"', 'r"\\1"', f"{REPORT}::test_pictures_and_plots_have_words_for_the_blind"),
    Mutant("reporting/_latex.py", "_line([_cell(c.word(record)) for c in columns])", "_line([c.word(record) for c in columns])", f"{REPORT}::test_a_latex_table_has_a_cell_for_every_column"),
    Mutant("reporting/_files.py", "if path.is_dir() and any(path.iterdir()) and not overwrite:", "if False:", f"{REPORT}::test_what_no_report_wrote_stays"),
    Mutant("_own_folder.py", "        self.check_free(made)\n", "", f"{REPORT}::test_a_report_made_meanwhile_is_not_replaced"),
    Mutant("reporting/_comparison_page.py", "set.intersection(*(", "set.union(*(", f"{REPORT}::test_a_unit_without_a_score_is_not_counted_as_bad"),
    Mutant("reporting/_comparison.py", "while name.casefold() in taken:", "while name in taken:", f"{REPORT}::test_names_that_a_disk_cannot_tell_apart_get_numbers"),
    Mutant("reporting/_verify.py", "numbers and (was == now or math.isclose(was, now, rel_tol=SAME, abs_tol=SAME))", "numbers", f"{REPORT}::test_rows_differ_in_all_but_rounding_and_time"),
    Mutant("reporting/_verify.py", "*found.differences,\n", "\n", f"{CLI_COMPARE}::test_another_pixel_is_seen"),
    Mutant("reporting/_inputs.py", "replace(wanted, whole=True, frame=None, axes=None)", "replace(wanted, frame=None, axes=None)", f"{CLI_COMPARE}::test_recipes_run_on_what_is_compared"),
    Mutant("reporting/_comparison_again.py", "board if read.recorded.is_whole or read.recorded == read.selection else _recorded(board, read.recorded)", "board", f"{CLI_COMPARE}::test_the_recipe_of_one_frame_runs_on_the_file"),
    Mutant("_pictures.py", "if low == high:", "if False:", f"{REPORT}::test_a_few_bright_pixels_are_seen"),
    # many images
    Mutant("evaluation/_pooling.py", "judged = np.where(known, counts, 0)", "judged = counts", f"{POOLED}::test_strokes_leave_undefined_what_asks_for_the_background"),
    Mutant("evaluation/_pooling.py", "counts = np.stack([voxels * scores, voxels], axis=-1)", "counts = np.stack([scores, np.ones_like(voxels)], axis=-1)", f"{POOLED}::test_the_three_ways_by_hand"),
    Mutant("evaluation/_estimates.py", "np.tensordot(self.weights, counts, axes=1)", "np.tensordot(np.ones_like(self.weights), counts, axes=1)", f"{POOLED}::test_intervals_by_hand"),
    Mutant("evaluation/_pooled_scores.py", "math.nan if objects and only_background else found.mean_dice", "found.mean_dice", f"{POOLED}::test_images_without_objects_are_counted_and_said"),
    Mutant("evaluation/_images.py", 'if rule.match not in ("auto", matching.match):', "if False:", f"{POOLED}::test_one_rule_matches_the_labels_of_all_images"),
    Mutant("_pairs.py", "for key, files in theirs.items() if key not in common for file in files", "for file in ()", "tests/test_pairs.py::test_names_that_several_files_have_are_a_pair_with_that_error"),
    Mutant("_scoring.py", "tuple(length * factor for", "tuple(length for", "tests/test_cli.py::test_evaluate_scores_surfaces_in_world_units"),
    Mutant("reporting/_evaluation.py", 'if role in was and was[role]["sha256"] != now[role]["sha256"]:', "if False:", f"{REPORT_EVALUATION}::test_a_report_holds_and_says_what_does_not"),
    Mutant("reporting/_evaluation_page.py", ".sum(axis=(1, 2)).argmax()", ".sum(axis=(1, 2)).argmin()", f"{REPORT_EVALUATION}::test_pictures_show_what_is_wrong_in_the_worst_plane"),
    # trying and comparing in the viewer
    Mutant("comparison/try_all.py", "    return bool(both >= ALIKE * whole)", "    return True", f"{TRY_ALL}::test_look_alikes_name_the_first_of_them"),
    Mutant("comparison/try_all.py", 'return "dark" if 2 * np.count_nonzero(bright) > bright.size', 'return "dark" if 2 * np.count_nonzero(bright) < bright.size', f"{TRY_ALL}::test_dark_objects_are_found_where_they_cover_less"),
    Mutant("comparison/try_all.py", "first = low + (high - low - n) // 2", "first = low", f"{TRY_ALL}::test_a_large_plane_is_cropped_to_its_middle"),
    Mutant("widgets/_compare_job.py", "                tell(so_far)\n", "", f"{COMPARE}::test_rows_appear_as_they_finish_and_cancel_keeps_them_ranked"),
    Mutant("widgets/_compare_job.py", 'depth="each" if choice.depth == "this" else choice.depth', "depth=choice.depth", f"{COMPARE}::test_one_slice_stands_for_all_of_them"),
    Mutant("widgets/_compare_table.py", "(*index, 0, 0)", "(*(0 for _ in index), 0, 0)", f"{COMPARE}::test_a_volume_shows_the_plane_and_applies_to_all_of_it"),
    Mutant("widgets/_compare_apply.py", "steps = [_with_spacing(step, whole.spacing) for step in row.recipe.steps]", "steps = list(row.recipe.steps)", f"{COMPARE}::test_a_volume_shows_the_plane_and_applies_to_all_of_it"),
    Mutant("widgets/_request.py", "return Chain(self.recipe, sources, {})", "pass", f"{COMPARE}::test_a_recipe_of_two_steps_is_applied_and_can_be_saved"),
    Mutant(
        "methods/_walk_session.py",
        "region = self._region(change, planted != state.planted)",
        "region = self._region(change, planted > 10**9)",
        SESSION,
    ),
    Mutant("methods/_walk_session.py", "        part[k][at] = marked[at] == label", "        pass", SESSION),
    Mutant(
        "methods/_walk_session.py",
        "missed = state.missed + self._coarse.largest_beyond(size, region)",
        "missed = 0.0",
        SESSION,
    ),
    Mutant(
        "methods/_walk_session.py",
        "self._state = _State(planted, labels, values, coarse, math.inf)  # until all is done",
        "self._state = _State(planted, labels, values, coarse, 0.0)",
        SESSION,
    ),
    Mutant("methods/_walk_levels.py", "rank = np.lexsort((-labels, counts, place))", "rank = np.lexsort((labels, counts, place))", SESSION),
    Mutant("methods/_walk_levels.py", "if others[holder] > 1:", "if True:", SESSION),
    Mutant("methods/_walk_levels.py", "(np.arange(part.start, part.stop) + 0.5) / block - 0.5", "np.arange(part.start, part.stop) / block", SESSION),
    Mutant("methods/_walk.py", "        if part.start > 0:\n            face[0] = False", "        pass", SESSION),
    Mutant("methods/_gradients.py", "if math.isfinite(self.least) else UNSEEN", "if math.isfinite(self.least) else math.inf", f"{WALKER}::test_a_row_is_a_chain_of_resistances"),
    Mutant("methods/_gradients.py", "float(largest[k]) / self.lanczos[k].smallest()", "float(largest[k]) * 1e-3", f"{WALKER}::test_a_smaller_tolerance_is_a_smaller_error"),
    Mutant("methods/_multigrid.py", "level.n > COARSEST or not ", "level.n > COARSEST and not not ", f"{WALKER}::test_images_of_a_row_or_of_a_voxel"),
    Mutant("methods/_gradients.py", "float(self.errors.max(initial=0.0))\n\n    def", "float(np.fmax.reduce(self.errors, initial=0.0))\n\n    def", f"{WALKER}::test_an_error_that_is_no_number_is_no_success"),
    Mutant("methods/_walk.py", "        note(warning=text)\n", "", f"{WALKER}::test_the_command_and_a_recipe_say_that_the_tolerance_is_not_met"),
    Mutant("methods/_walk.py", "inside = (markers != -1) if inside is None", "inside = None if inside is None", f"{WALKER}::test_more_markers_and_inactive_voxels_are_those_of_scikit_image"),
    Mutant("methods/_walk.py", "1 / length**2 for length, n", "1 / length for length, n", f"{WALKER}::test_every_option_is_that_of_a_direct_solution"),
    Mutant("methods/_walk_scales.py", "min(scale, APART / half / 2, float_info.max)", "min(scale, float_info.max)", f"{WALKER}::test_grey_levels_of_any_size_are_walked_on"),
    Mutant("methods/_walk_scales.py", "return channel - low if max(-low, high) >= EXACT > high - low else channel", "return channel", f"{WALKER}::test_integers_of_64_bits_are_walked_on"),
    # levels of a lattice
    Mutant("methods/_lattice_pairs.py", "if best[end] >> (CHANCE + 1) >= (strongest[i] - STRONG) >> EXPONENT:", "if best[end] > 0:", f"{MULTIGRID}::test_what_is_merged_holds_together"),
    Mutant("methods/_lattice_pairs.py", "        if j and chosen[j] == i:", "        if j:", f"{MULTIGRID}::test_what_is_merged_holds_together"),
    Mutant("methods/_graph_pairs.py", "            leak += fine_sink[i]\n", "", f"{MULTIGRID}::test_a_level_is_galerkins_product"),
    Mutant("methods/_graph_loops.py", "near = slot // CHUNK == t // CHUNK", "near = True", f"{MULTIGRID}::test_the_number_of_threads_changes_no_bit"),
    Mutant("methods/_graph_loops.py", "for t in range(last - 1, first - 1, -1):", "for t in range(first, last):", f"{MULTIGRID}::test_the_preconditioner_is_symmetric_and_near_the_inverse"),
    Mutant("methods/_levels.py", "        np.add(space.x, space.sum, out=space.x)", "        pass", f"{MULTIGRID}::test_the_preconditioner_is_symmetric_and_near_the_inverse"),
    Mutant("methods/_levels.py", "            space.sum[:] += space.x\n", "", f"{MULTIGRID}::test_a_last_level_that_is_too_large_is_swept"),
    # walks on what does not fit into memory
    Mutant("methods/_walk_groups.py", "    alone = np.flatnonzero(kept & (number == NONE))", "    alone = np.flatnonzero(kept & (number > 10**9))", f"{BLOCKS}::test_what_no_walk_reaches_is_that_of_the_whole"),
    Mutant("methods/_walk_groups.py", "meet = (one.groups[0] >= 0) & (two.groups[0] >= 0) & (one.weight > 0)", "meet = (one.groups[0] >= 0) & (two.groups[0] >= 0) & (one.weight < 0)", f"{BLOCKS}::test_what_no_walk_reaches_is_that_of_the_whole"),
    Mutant("methods/_walk_graph.py", "    graph.sink[lost] = 1", "    graph.sink[lost] = 0", f"{BLOCKS}::test_probabilities_on_a_graph_are_those_of_a_direct_solve"),
    Mutant("methods/_walk_blocks.py", "        values[k][scene.planted > 0] = (scene.planted == label)[scene.planted > 0]", "        pass", f"{BLOCKS}::test_strokes_keep_their_labels_and_none_gets_lost"),
    Mutant("methods/_walk_scene.py", "s.base[k] - taken + s.means[k]", "s.means[k]", f"{BLOCKS}::test_weights_are_those_of_the_whole"),
    Mutant("blockwise/_tile_sizes.py", "short, key=lambda axis: edges[axis]", "short, key=lambda axis: -edges[axis]", f"{BLOCKS}::test_tiles_come_from_the_shape_and_make_up_the_whole"),
    Mutant("unet/_files.py", "    if found.st_size > most:", "    if found.st_size > 1 << 62:", f"{MODELS}::test_files_that_are_too_large_are_not_read"),
    Mutant("unet/_weights.py", "        if not np.isfinite(value).all() or (", "        if np.isnan(value).any() or (", f"{MODELS}::test_weights_that_are_not_those_of_the_architecture_are_refused"),
    Mutant("unet/trained.py", '    if found.digest != settings["sha256"]:', '    if len(found.digest) != len(settings["sha256"]):', f"{MODELS}::test_a_flipped_bit_of_a_weight_is_seen"),
    Mutant("unet/_onnx.py", 'graph.add("Concat", [x, links.pop()], axis=1)', 'graph.add("Concat", [links.pop(), x], axis=1)', f"{ONNX}::test_onnxruntime_computes_what_torch_does"),
    Mutant("unet/_zoo_steps.py", "Scaling(exact.shift, exact.factor + part.whole.eps)", "Scaling(exact.shift, exact.factor)", f"{ZOO}::test_grey_levels_are_scaled_by_mean_and_standard_deviation"),
    Mutant("unet/_zoo_steps.py", "joined_moments(found) if part.whole.joint else found[at]", "found[at]", f"{ZOO}::test_each_channel_has_its_own_statistics_unless_all_share_them"),
    Mutant("unet/zoo.py", "np.concatenate([1 - numbers.max(1, keepdims=True), numbers], 1)", "np.concatenate([1 - numbers.min(1, keepdims=True), numbers], 1)", f"{ZOO}::test_where_none_of_several_kinds_is_likely_is_background"),
    Mutant("unet/zoo.py", "any(t.data_location == onnx.TensorProto.EXTERNAL for t", "any(t.data_location == 7 for t", f"{ZOO}::test_weights_that_are_no_network_are_refused"),
    Mutant("unet/_package.py", 'or ".." in path.parts or', 'or', f"{ZOO}::test_what_cannot_be_used_is_refused_with_the_reason"),
    Mutant("_held.py", "os.path.normpath(folder / path)", "path", f"{MODEL_RECIPES}::test_relative_paths_begin_at_the_file_of_the_recipe"),
    Mutant("recipe.py", "            if is_held(value):", "            if value is None:", f"{MODEL_RECIPES}::test_a_model_in_memory_is_not_written"),
    # what a U-Net is trained on, and that it goes on
    Mutant("unet/_targets.py", "np.where(known, labels + 1, 0)", "np.clip(labels + 1, 0, len(self.values) - 1)", f"{UNET_TRAIN}::test_the_value_of_what_is_not_annotated_teaches_nothing"),
    Mutant("unet/_patches.py", "        classes[~self._shown(number, read)] = -1\n", "", f"{UNET_DATA}::test_what_is_held_out_is_never_learned_from"),
    Mutant("unet/_patches.py", "            classes[~finite] = -1", "            pass", f"{UNET_DATA}::test_voxels_that_are_not_finite_are_not_learned_from"),
    Mutant("unet/_patches.py", "np.cumsum(np.sqrt(cells.counts.T), axis=1)", "np.cumsum(cells.counts.T, axis=1)", f"{UNET_DATA}::test_classes_are_drawn_equally_and_cells_by_the_root_of_what_they_hold"),
    Mutant("unet/_pairs.py", "            room //= step\n", "", f"{UNET_DATA}::test_blocks_cover_every_voxel_once_and_begin_at_chunks"),
    Mutant("unet/_pairs.py", "if complete and sizes[held]", "if sizes[held]", f"{UNET_DATA}::test_a_split_leaves_every_class_on_both_sides"),
    Mutant("unet/_loop.py", "if (dice, -loss) <= (state.best_dice, -state.best_loss):", "if dice < state.best_dice:", f"{UNET_TRAIN}::test_the_best_is_kept_and_of_equal_ones_that_with_the_smaller_loss"),
    Mutant("unet/_loop.py", "self.class_weights) * share", "self.class_weights) / 4", f"{UNET_TRAIN}::test_parts_of_a_batch_teach_what_the_batch_teaches"),
    Mutant("unet/_loop.py", "            self.scaler.load_state_dict(state.scaler)", "            pass", f"{UNET_RESUME}::test_the_state_of_the_scaler_goes_along"),
    Mutant("unet/_loop.py", "        if state.optimizer:", "        if not state.weights:", f"{UNET_RESUME}::test_a_training_that_goes_on_gives_what_one_that_was_not_killed_gives"),
    Mutant("unet/_loop.py", "        except OSError as error:", "        except ValueError as error:", f"{UNET_RESUME}::test_a_full_disk_at_a_checkpoint_is_said_and_training_goes_on"),
    Mutant("unet/_loop.py", "            if of != state.step:", "            if of > state.step:", f"{UNET_TRAIN}::test_a_step_has_its_own_batch_where_there_are_more_than_were_planned"),
    Mutant("unet/_loop.py", "layer.momentum = max(MOMENTUM, 1 / (step + 1))", "layer.momentum = MOMENTUM", f"{UNET_TRAIN}::test_running_statistics_are_those_of_batches_from_the_first_step_on"),
    Mutant("unet/_torch.py", "            if not _settings_before:\n                before()", "            before()", f"{UNET_TRAIN}::test_determinism_lasts_as_long_as_any_thread_needs_it"),
    Mutant("_writing.py", "            if temporary.is_file():", "            if temporary.is_dir():", f"{UNET_RESUME}::test_a_checkpoint_is_on_the_disk_before_it_takes_the_place_of_another"),
    Mutant("unet/train.py", '"channels": [c.contents for c in grey]', '"channels": [c.share for c in grey]', f"{UNET_RESUME}::test_a_checkpoint_of_another_training_is_refused_and_kept"),
    Mutant("unet/train.py", "        check_place(target, self.overwrite, folder_problem)\n", "", f"{UNET_RESUME}::test_places_that_cannot_be_written_to_are_refused_before_anything_is_read"),
    Mutant("widgets/_training_layers.py", "labels.astype(np.int32), np.int32(-1))", "labels, -1)", f"{UNET_LAYERS}::test_slices_that_are_painted_are_annotated_completely"),
    Mutant("widgets/_training_job.py", "if fraction - first < 0.02", "if fraction < 0.02", f"{UNET_LAYERS}::test_time_left_follows_from_the_time_it_took"),
    Mutant("widgets/_training_curves.py", "known = [(d, -s)", "known = [(d, s)", UNET_MODELS),
    Mutant("widgets/_model_files.py", "or checkpoint_of(place).exists()", "", f"{UNET_MODELS}::test_a_new_model_has_a_name_of_its_own_that_any_disk_takes"),
    Mutant("widgets/_model_files.py", "if there != info.n_channels:", "if there < info.n_channels - 1:", f"{UNET_MODELS}::test_a_model_has_to_fit_the_image"),
    Mutant("widgets/_model_box.py", "        if self.value() != before:\n", "        if False:\n", f"{UNET_MODELS}::test_a_setting_is_shown_and_told_once"),
    Mutant("widgets/_training_job.py", "                raise Closed\n", "                return True\n", f"{UNET_WIDGET}::test_closing_keeps_the_checkpoint_and_it_can_be_continued"),
    Mutant("widgets/_pools.py", "Turn.ASKED: 2**10", "Turn.ASKED: 1", f"{POOLS}::test_work_that_was_asked_for_may_wait_for_other_such_work"),
    Mutant("widgets/_pools.py", "        worker.quit()", "        pass", f"{POOLS}::test_the_end_cancels_what_runs_and_begins_nothing_more"),
    Mutant("widgets/_pools.py", "        atexit.register(end)", "        pass", f"{POOLS}::test_a_program_that_ends_without_an_event_loop_cancels_what_runs_and_ends"),
    Mutant("widgets/_worker.py", " and self._turn is not Turn.ASKED:", ":", f"{POOLS}::test_what_nobody_wants_any_more_is_not_begun"),
    Mutant("widgets/_worker.py", "connect(self.signals.deleteLater)", "connect(lambda: None)", f"{POOLS}::test_the_signals_of_a_worker_go_in_the_thread_of_the_window"),
    Mutant("widgets/_worker.py", "pool_of(self._turn).start(self)", "pool_of(Turn.BEFOREHAND).start(self)", f"{POOLS}::test_a_run_does_not_wait_for_what_other_widgets_compile"),
    Mutant("widgets/_worker.py", "if self.abort_requested and not self._keeps:", "if self.abort_requested:", f"{UNET_WIDGET}::test_cancel_keeps_the_best_so_far"),
    Mutant("widgets/_training_settings.py", "self._by_hand = not self._guessing", "self._by_hand = False", f"{UNET_WIDGET}::test_a_volume_is_learned_whole_or_plane_by_plane"),
    Mutant("unet/architecture.py", "    side = 2 * (kernels[level] // 2)", "    side = kernels[level] // 2", f"{NETWORK}::test_gradients_reach_exactly_as_far_as_was_computed"),
    Mutant("unet/architecture.py", "        return low * stride, high * stride + stride - 1", "        return low * stride, high * stride", f"{NETWORK}::test_gradients_reach_exactly_as_far_as_was_computed"),
    Mutant("unet/architecture.py", "_near(lengths, [n >= 4 for n in left])", "_near(lengths, [n >= 2 for n in left])", f"{NETWORK}::test_any_image_has_a_network_that_fits_it"),
    Mutant("unet/architecture.py", "3 if is_near or k == 3 else 1", "3 if is_near else 1", f"{NETWORK}::test_axes_that_are_too_short_are_not_halved_and_do_not_stop_the_others"),
    Mutant("unet/_modules.py", "(stride[0], 1))", "(1, 1))", f"{NETWORK}::test_pooling_of_a_gpu_is_that_of_the_cpu"),
    Mutant("unet/losses.py", "return logits.float() if logits.dtype.itemsize < 4 else logits", "return logits", f"{UNET_LOSSES}::test_16_bits_lose_nothing_but_the_digits_of_what_is_said"),
    Mutant("unet/losses.py", "p = torch.softmax(precise(logits), dim=1) * known", "p = torch.softmax(precise(logits), dim=1)", f"{UNET_LOSSES}::test_what_nobody_annotated_teaches_nothing"),
    Mutant("unet/_heads.py", "known = (target > 0) & (target != UNKNOWN_DEPTH)", "known = target > 0", f"{UNET_LOSSES}::test_the_loss_of_depths_by_hand"),
    Mutant("unet/_targets.py", "            unknown |= neighbours < 0\n", "", f"{HEADS}::test_depths_by_hand"),
    Mutant("unet/_targets.py", "neighbours[end] = -1 if goes_on else objects[end]", "neighbours[end] = objects[end]", f"{HEADS}::test_patches_say_of_a_part_what_the_whole_says"),
    Mutant("unet/_patches.py", "(m > 0 and w.start > 0, m > 0 and w.stop < n)", "(w.start > 0, w.stop < n)", f"{HEADS}::test_planes_that_are_learned_alone_hold_whole_objects"),
    Mutant("unet/predict.py", 'height = 1 - (p[1] if head == "boundary" else p[2])', 'height = p[2] if head == "boundary" else 1 - p[2]', f"{HEADS}::test_objects_that_touch_are_told_apart"),
    Mutant("unet/augmentation.py", "matrix @ np.linalg.inv(edges) @ rotation @ edges", "matrix @ rotation", f"{AUGMENTATION}::test_turning_keeps_lengths_in_patches_that_are_not_square"),
    Mutant("unet/augmentation.py", "mode=\"nearest\", align_corners=False", "mode=\"bilinear\", align_corners=False", f"{AUGMENTATION}::test_no_class_is_invented_and_all_numbers_are_finite"),
    Mutant("unet/_torch.py", "    except (ImportError, OSError) as error:", "    except OSError as error:", f"{TORCH}::test_torch_that_does_not_load_is_named_with_the_line_that_installs_it"),
    Mutant("_membranes.py", "membranes = far < THICKNESS / 2", "membranes = far < THICKNESS", f"{SAMPLES}::test_membranes_are_thin_and_close_around_cells_of_the_size_asked_for"),
    Mutant("_membranes.py", "rng.normal(0, STEP, middles.shape)", "rng.normal(0, 9 * STEP, middles.shape)", f"{SAMPLES}::test_membranes_move_little_from_section_to_section"),
    Mutant("_membranes.py", "np.where(bodies, BODY + folds, clean)", "np.where(bodies, CELL + folds, clean)", f"{SAMPLES}::test_bodies_in_cells_are_as_dark_as_membranes"),
    Mutant("samples.py", "np.where(is_membrane, 1, 2)", "np.where(is_membrane, 2, 1)", f"{SAMPLES}::test_bodies_in_cells_are_as_dark_as_membranes"),
    Mutant("evaluation/surprise.py", "for w, s in zip(each, surprise, strict=True) if w)", "for w, s in zip(each, surprise, strict=True))", LOSSES),
    Mutant("unet/strokes.py", "xp.where(self.mask != 0, self.markers, xp.zeros_like(self.markers))", "self.markers", f"{UNET_STROKES}::test_what_changes_after_the_training_does_not_train_again"),
    Mutant("unet/strokes.py", "said = repr((sorted(training.items()), self.channel_axis, self.spacing, asked_for()))", "said = repr((self.channel_axis, self.spacing, asked_for()))", f"{UNET_STROKES}::test_what_changes_after_the_training_does_not_train_again"),
    Mutant("unet/strokes.py", "return left[-1], 0 if background in classes else left[0]", "return left[-1], 0", f"{UNET_STROKES}::test_steps_after_are_on_the_highest_label_that_is_not_background"),
    Mutant("comparison/_contestants.py", " and not catalog.find(cut.method).slow", "", f"{UNET_STROKES}::test_it_is_compared_only_where_it_is_named"),
    Mutant("cli/_unet.py", 'given.setdefault("one_per_object", found.head != "classes")', 'given.setdefault("one_per_object", False)', f"{CLI_UNET}::test_objects_are_numbered_where_the_model_tells_them_apart"),
    Mutant("cli/_unet.py", 'return () if found == ("none",) else found', "return found", f"{CLI_UNET}::test_train_predict_info_export"),
    Mutant("cli/_unet.py", "    if plan_only:\n        return 0\n", "", f"{CLI_UNET}::test_the_plan_alone_writes_nothing"),
    Mutant("doctor.py", "elif gpu.cuda and _what_torch_uses() == CPU_BUILD:", "elif gpu.cuda:", f"{DOCTOR}::test_what_u_nets_run_on"),
    Mutant("unet/_tiling.py", "says[j][exact[other]] = 0", "pass", f"{UNET_TILING}::test_where_a_tile_sees_what_the_whole_shows_it_alone_speaks"),
    Mutant("unet/_tiling.py", "(start + self.reach if start else 0)", "start + self.reach", f"{UNET_TILING}::test_where_a_tile_sees_what_the_whole_shows_it_alone_speaks"),
    Mutant("unet/_tiling.py", "SIGMA * (self.edge + 2 * self.halo)", "SIGMA * self.edge", f"{UNET_PREDICT}::test_tiles_that_see_too_little_are_blended_by_a_gaussian"),
    Mutant("unet/_run.py", "yield from _of_batch(prediction, backend, batch[half:])", "pass", f"{UNET_PREDICT}::test_batches_are_halved_before_tiles"),
    Mutant("unet/_run.py", "*shape), dtype=xp.float32)", "*shape), xp.float32)", "tests/test_array.py::test_dtypes_have_their_names_where_a_library_may_be_cupy"),
    Mutant("blockwise/_components.py", '~block if dtype_name(block) == "bool" else block == 0', "block == 0", "tests/test_sweeps_gpu.py::test_tiles_on_a_gpu_give_the_labels_of_the_whole_on_the_host[strict-threshold]"),
    Mutant("blockwise/_objects.py", '(mask if dtype_name(mask) == "bool" else mask != 0) |', "(mask != 0) |", "tests/test_sweeps_gpu.py::test_tiles_on_a_gpu_give_the_labels_of_the_whole_on_the_host[strict-threshold]"),
    Mutant("blockwise/_labels.py", "block = to_numpy(self.labels.read(", "block = np.asarray(self.labels.read(", "tests/test_sweeps_gpu.py::test_tiles_on_a_gpu_give_the_labels_of_the_whole_on_the_host[strict-draw_lines]"),
    Mutant("unet/_run.py", "total / len(mirrors) if len(mirrors) > 1 else total", "total", f"{UNET_PREDICT}::test_flips_are_the_mean_of_all_mirror_images"),
    Mutant("unet/_lazily.py", "out[(slice(None), *cell.cell)] = host", "out[:] = 0.5", f"{UNET_PREDICT}::test_memory_that_runs_out_at_any_call_changes_no_label"),
    Mutant("unet/_scaling.py", "apart * apart * self.n * other.n / n", "apart * apart", f"{UNET_PREDICT}::test_moments_of_parts_are_those_of_the_whole"),
    Mutant("unet/_scaling.py", "exact = block.astype(np.float64)", "exact = block.astype(np.float32)", f"{UNET_PREDICT}::test_details_on_a_huge_offset_are_seen_as_without"),
    Mutant("methods/_min_cut.py", "_summed(b, first - back, n)", "_summed(b, first, n)", f"{GRAPH_CUT}::test_two_labels_are_the_cheapest_and_the_fewest_of_the_second"),
    Mutant("methods/_min_cut.py", "certain = 2 * energy.around() + 1", "certain = energy.around() // 4", f"{GRAPH_CUT}::test_two_labels_are_the_cheapest_and_the_fewest_of_the_second"),
    Mutant("methods/_min_cut.py", "while unchanged < n_labels:", "while unchanged < 1:", f"{GRAPH_CUT}::test_no_expansion_makes_several_labels_cheaper"),
    Mutant("methods/_max_flow.py", "capacities[arcs[along, 1]] += flow", "pass", f"{GRAPH_CUT}::test_both_maximum_flows_cut_grids_alike"),
    Mutant("methods/_max_flow.py", "+ 1, nodes)\n            _push(other, queue, waiting, state)", "+ 1, nodes)", f"{GRAPH_CUT}::test_both_maximum_flows_cut_grids_alike"),
    Mutant("methods/_colour_models.py", "(-1 / (len(shape) + 4))", "(-1 / (len(shape) + 40))", f"{GRAPH_CUT}::test_voxels_are_cut_as_the_best_of_all_labellings"),
    Mutant("methods/_stroke_models.py", "/ 2) / half_range)", "/ 2) / (2 * half_range))", f"{GRAPH_CUT}::test_contrast_of_none_is_that_of_neighbours"),
    Mutant("methods/_stroke_models.py", "block.inside[here] & block.inside[there] & own[here]", "block.inside[here] & block.inside[there]", f"{GRAPH_CUT}::test_neither_blocks_nor_the_solver_show"),
    Mutant("methods/_stroke_graph.py", "xp.where((markers > 0) & (labels > 0), xp.astype(markers, xp.int32), labels)", "labels", f"{GRAPH_CUT}::test_strokes_that_contradict_each_other_leave_a_region_to_the_majority"),
    Mutant("methods/_likeness.py", "min(np.median(unlike), differences.mean())", "np.median(unlike)", f"{NCUT}::test_contrast_is_taken_from_the_graph"),
    Mutant("methods/_likeness.py", "differences <= ROUNDING, 0.0, differences", "differences < 0, 0.0, differences", f"{NCUT}::test_means_that_differ_by_rounding_are_the_same"),
    Mutant("methods/_likeness.py", "1.0 + np.asarray(alike.sum", "0.0 + np.asarray(alike.sum", f"{NCUT}::test_two_cliques_fall_apart_into_what_is_best"),
    Mutant("methods/_two_way.py", "across / below + across", "across / below + 2 * across", f"{NCUT}::test_a_cut_is_what_it_says_and_not_better_than_the_best"),
    Mutant("methods/_two_way.py", "if value >= threshold:", "if value > threshold:", f"{NCUT}::test_a_cut_must_lie_below_the_threshold"),
    Mutant("methods/_two_way.py", "values[np.diff(rising) <= SAME * (rising[-1] - rising[0])] = np.inf", "pass", f"{NCUT}::test_entries_that_differ_by_rounding_stay_together"),
    Mutant("methods/_k_way.py", 'kind="stable")[:spare]', 'kind="stable")[:1]', f"{NCUT}::test_parts_get_as_many_as_their_eigenvalues"),
    Mutant("methods/_k_way.py", "alike[least] = -1.0", "pass", f"{NCUT}::test_groups_in_pieces_are_mended"),
    Mutant("methods/_spectrum.py", "return lambda x: x - without * (without @ x)", "return lambda x: x", f"{NCUT}::test_dense_and_sparse_solvers_agree"),
    Mutant("methods/_ncut.py", "np.maximum(weights, LEAST)", "weights", f"{NCUT}::test_regions_that_are_not_alike_at_all_are_still_neighbours"),
    Mutant("methods/_merge_loops.py", "    if f.best[x] == h:\n        f.best[x] = LOST", "    pass", f"{MERGES}::test_trees_are_those_of_plain_python"),
    Mutant("methods/_merge_loops.py", "if kind != BOUNDARY or falls:", "if kind != BOUNDARY:", f"{MERGES}::test_regions_that_touch_many_merge_as_in_plain_python"),
    Mutant("methods/_merge_loops.py", "(a, b) if f.degrees[a] >= f.degrees[b] else (b, a)", "(a, b)", f"{MERGES}::test_a_background_with_very_many_neighbours_merges_at_once"),
    Mutant("methods/_merge_tree.py", "LARGEST = 400", "LARGEST = 4000", f"{MERGES}::test_levels_at_the_end_of_float64_merge_as_others_do"),
    Mutant("methods/_merge_loops.py", "f.strengths[twin] += f.strengths[e]", "f.strengths[twin] = f.strengths[e]", f"{MERGES}::test_trees_are_those_of_plain_python"),
    Mutant("methods/_merge_tree.py", "np.maximum.accumulate(heights)", "heights", f"{MERGES}::test_what_is_weaker_after_a_merge_has_the_height_of_that_merge"),
    Mutant("methods/_merge_tree.py", 'side="right"', 'side="left"', f"{MERGES}::test_merges_by_hand"),
    Mutant("methods/_region_sums.py", "inside = inside & xp.isfinite(image)", "inside = inside & ~xp.isnan(image)", f"{REGION_GRAPH}::test_what_belongs_to_no_region"),
    Mutant("methods/_region_sums.py", "max(own[2, 0], -dx), min(own[2, 1], nx - dx)", "max(0, -dx), min(own[2, 1], nx - dx)", f"{REGION_GRAPH}::test_chunks_do_not_show"),
    Mutant("methods/_regions.py", "number[np.argsort(first)] = np.arange(1, len(names) + 1)", "number[:] = np.arange(1, len(names) + 1)", f"{REGION_GRAPH}::test_groups_are_numbered_by_their_first_voxel"),
    Mutant("cli/_methods.py", "inspect.Parameter.empty) if param.required else (str | None, None)", "inspect.Parameter.empty)", f"{MERGES}::test_the_command_takes_regions_from_a_file_or_makes_them"),
    Mutant("methods/_merging.py", "edges[i, KEY] <= min(forest[a, LIMIT], forest[b, LIMIT])", "edges[i, KEY] < min(forest[a, LIMIT], forest[b, LIMIT])", f"{FELZENSZWALB}::test_a_weight_may_equal_the_internal_difference_and_the_share"),
    Mutant("methods/_merging.py", "max(forest[a, LINK], forest[b, LINK]) > -min_size", "min(forest[a, LINK], forest[b, LINK]) > -min_size", f"{FELZENSZWALB}::test_regions_are_those_of_the_definition_whatever_the_groups_and_threads"),
    Mutant("methods/_merging.py", "if forest[root, LIMIT] >= key else", "if forest[root, LIMIT] > key else", f"{FELZENSZWALB}::test_a_weight_may_equal_the_internal_difference_and_the_share"),
    Mutant("methods/_edges.py", "((a & b) if alone else (a | b))", "(a | b)", f"{FELZENSZWALB}::test_regions_are_those_of_the_definition_whatever_the_groups_and_threads"),
    Mutant("methods/_edges.py", "places = np.ascontiguousarray((ends - by_bin).T)", "places = np.ascontiguousarray((ends - by_bin)[:, ::-1].T)", f"{FELZENSZWALB}::test_regions_are_those_of_the_definition_whatever_the_groups_and_threads"),
    Mutant("methods/_edges.py", "_by_digit(other, bucket, digit + DIGIT, ends)", "_by_digit(other, bucket, digit, ends)", f"{FELZENSZWALB}::test_rows_longer_than_a_strip_and_buckets_of_many_edges"),
    Mutant("methods/_edges_device.py", "order = xp.argsort(weights, stable=True)", "order = xp.argsort(weights, descending=True)", f"{FELZENSZWALB}::test_a_device_gives_the_regions_of_the_definition"),
    Mutant("methods/_inside.py", "inside = inside & xp.isfinite(other)", "pass", f"{FELZENSZWALB}::test_voxels_that_are_not_finite_are_outside_and_do_not_count"),
    Mutant("methods/_merging_tiles.py", "if not (small_a and small_b) or -forest[a, LINK] - forest[b, LINK] >= min_size:", "if True:", f"{FELZENSZWALB_TILES}::test_regions_in_tiles_are_those_of_the_rule"),
    Mutant("methods/_merging_tiles.py", "keys[i] <= min(limits[a], limits[b])", "keys[i] <= max(limits[a], limits[b])", f"{FELZENSZWALB_TILES}::test_regions_in_tiles_are_those_of_the_rule"),
    Mutant("methods/_merging_tiles.py", "if speaker[b] != NOBODY or (speaker[a] == NOBODY and forest[b, LINK] < forest[a, LINK]):", "if forest[b, LINK] < forest[a, LINK]:", f"{FELZENSZWALB_TILES}::test_regions_in_tiles_are_those_of_the_rule"),
    Mutant("methods/_felzenszwalb_tiles.py", "order = np.lexsort((across[:, 1], across[:, 0], keys))", "order = np.argsort(keys)[::-1]", f"{FELZENSZWALB_TILES}::test_regions_in_tiles_are_those_of_the_rule"),
    Mutant("methods/_felzenszwalb_tiles.py", "if np.isnan(inside[0]).all():", "if False:", f"{FELZENSZWALB_TILES}::test_a_tile_without_a_voxel_inside_is_skipped"),
    Mutant("methods/_felzenszwalb_tiles.py", "np.minimum.at(begin, roots, part.firsts[part.speakers])", "begin[roots] = part.firsts[part.speakers]", f"{FELZENSZWALB_TILES}::test_regions_in_tiles_are_those_of_the_rule"),
    Mutant("blockwise/_stitch.py", "math.prod(image.shape) <= plan.tile_voxels", "math.prod(image.shape) < plan.tile_voxels", f"{FELZENSZWALB_TILES}::test_what_fits_into_a_tile_is_the_whole"),
    Mutant("stores/_guard.py", "self.absent.add(key)", "pass", f"{STORES}::test_absent_chunks_are_the_fill_value_and_counted_once"),
    Mutant("stores/_guard.py", "if wanted is not None and n != wanted:", "if False:", f"{STORES}::test_a_chunk_that_was_cut_is_noticed_whatever_compressed_it"),
    Mutant("stores/_guard.py", "if isinstance(error, _LASTING) or any(", "if any(", f"{STORES_REMOTE}::test_what_will_not_pass_is_not_tried_again"),
    Mutant("stores/_place.py", 'text = text.replace(value, "***")', "pass", f"{STORES_REMOTE}::test_secrets_in_an_address_are_not_shown"),
    Mutant("stores/_checked.py", "if self._store.absent.n > known:", "if False:", f"{STORES}::test_a_folder_that_goes_away_is_not_read_as_zeros"),
    Mutant("stores/_checked.py", "slice(-(-part.start // edge), -(-part.stop // edge))", "slice(part.start // edge, -(-part.stop // edge))", f"{STORES}::test_absent_chunks_are_the_fill_value_and_counted_once"),
    Mutant("stores/_metadata.py", "and abs(side / by - small) < 1 and", "and", f"{STORES}::test_levels_that_disagree"),
    Mutant("stores/_blocks.py", "np.arange(side) * fine // coarse", "np.arange(side) * (fine // coarse)", f"{STORES_TARGET}::test_levels_that_are_no_whole_part_of_the_one_above"),
    Mutant("stores/_blocks.py", "for index, part in zip(indices_above(layout, level), region, strict=True)]", "for index, part in zip(indices_above(layout, 1), region, strict=True)]", f"{STORES_TARGET}::test_blocks_of_any_size_and_order_make_the_same_files"),
    Mutant("stores/_edit.py", "np.searchsorted(index, (part.start, part.stop))", "np.array((part.start // 2, part.stop // 2))", f"{STORES_TARGET}::test_a_box_is_written_back_to_every_level"),
    Mutant("stores/_site.py", "if above.url != image and _holds_data(above):", "if False:", f"{STORES_TARGET}::test_nothing_is_written_among_the_data_of_an_image"),
    Mutant("stores/_commit.py", "site.check()  # somebody", "pass  # somebody", f"{STORES_TARGET}::test_labels_that_somebody_else_made_meanwhile_are_not_replaced"),
    Mutant("stores/_commit.py", "left.unlink(missing_ok=True)", "pass", f"{STORES_TARGET}::test_half_a_run_goes_on_to_the_same_files"),
    Mutant("stores/_site.py", 'return replace(site, second=begun["second"] if begun else "0" in levels)', "return site", f"{STORES_REMOTE}::test_labels_on_an_object_store_stay_until_new_ones_are_complete"),
    Mutant("running/_records.py", "if len(value) != length or _checksum(number, value) != checksum:", "if len(value) != length:", f"{JOURNAL}::test_a_torn_record_and_what_follows_it_is_left_out"),
    Mutant("running/_records.py", "            with suppress(FileNotFoundError):\n                shutil.rmtree(place)", "            shutil.rmtree(place)", f"{JOURNAL}::test_a_folder_goes_while_others_remove_what_is_theirs"),
    Mutant("running/_records.py", " and not _is_called(found)", "", f"{JOURNAL}::test_objects_that_can_be_called_are_no_data"),
    Mutant("running/_parts.py", 'return range(self.part[0] - 1, n, self.part[1])', 'return range(self.part[0] - 1, n, self.part[1] + 1)', f"{PARTS}::test_shares_are_strided"),
    Mutant("running/_parts.py", 'if known.isdisjoint(numbers):', 'if True:', f"{PARTS}::test_what_two_processes_of_one_part_have_done_counts_once"),
    Mutant("running/_parts.py", 'or not _is_large(total) or at', 'or at', f"{PARTS}::test_large_summaries_are_kept_together_and_small_ones_one_by_one"),
    Mutant("running/_parts.py", 'now - complete >= JOIN_AFTER', 'False', f"{PARTS}::test_a_part_that_dies_while_it_joins_is_replaced"),
    Mutant("blockwise/_flight.py", 'self._at_work() < AHEAD * threads', 'True', f"{DISTRIBUTED}::test_results_come_in_order_whatever_the_order_of_tasks"),
    Mutant("blockwise/_flight.py", 'len(self._out) < HELD * threads', 'True', f"{DISTRIBUTED}::test_results_that_wait_for_a_late_one_are_few"),
    Mutant("blockwise/_cluster.py", 'self.device == "gpu" or self.one_at_a_time', 'self.device == "gpu"', f"{DISTRIBUTED}::test_a_tile_that_memory_did_not_hold_is_repeated_alone"),
    Mutant("blockwise/_cluster.py", 'for value in values[:1]) < LARGE', 'for value in values[:1]) < 0', f"{DISTRIBUTED}::test_small_summaries_are_combined_one_by_one_and_large_ones_on_the_worker"),
    Mutant("blockwise/_workers.py", 'share = worker.free // n_on_host', 'share = worker.free', f"{DISTRIBUTED}::test_the_worker_that_has_least_counts_and_workers_share_a_machine"),
    Mutant("blockwise/_sweeps.py", 'region.insert(0, slice(ends[at] - sizes[at], ends[at]))', 'region.append(slice(ends[at] - sizes[at], ends[at]))', f"{DISTRIBUTED}::test_regions_are_those_of_the_chunks_and_travel_light"),
    Mutant("running/_journal.py", "range(done, n), combine)", "range(n), combine)", f"{JOURNAL}::test_a_run_that_was_cut_off_goes_on"),
    Mutant("running/_run_folder.py", '_started(owner["pid"]) == owner["started"])', '_started(owner["pid"]) is not None)', f"{RESUME}::test_whose_lock_counts"),
    Mutant("running/_store_write.py", "len(sizes) for sizes in self.tiles])) < self.done:", "len(sizes) for sizes in self.tiles])) <= self.done:", f"{RESUME}::test_other_tiles_may_be_taken_where_they_do_not_matter"),
    Mutant("running/_store_write.py", "replaces=not self.shared", "replaces=True", f"{PARTS}::test_who_makes_an_array_late_takes_nothing_away"),
    Mutant("running/_store_run.py", 'told.discard("tile")', "pass", f"{PARTS}::test_parts_of_something_else_are_refused"),
    Mutant("running/_store_run.py", "if self._written() != begun:", "if False:", f"{RESUME}::test_who_comes_late_looks_again"),
    Mutant("running/_store_run.py", ' or self.given.identity(damaged) != begun["inputs"]:', ":", f"{RESUME}::test_what_changes_while_it_runs_is_not_mended"),
    Mutant("running/_store_run.py", "{**damaged.get(error.address, {}), **found}", "found", f"{RESUME}::test_damaged_chunks_are_mended_together"),
    Mutant("running/_store_run.py", "        self._count_mended()\n", "", f"{RESUME}::test_a_chunk_that_was_mended_counts_again"),
    Mutant("running/_run_folder.py", "for key in sorted(without) if array.shards is not None else ():", "for key in ():", f"{RESUME}::test_a_damaged_chunk_may_be_removed_where_nothing_else_was_read_of_its_file"),
    Mutant("running/_store_run.py", 'told = {"tile", "device"} if self._is_exact else set()', 'told = {"tile", "device"}', f"{RESUME}::test_other_tiles_are_refused_where_they_matter"),
    Mutant("running/_store_run.py", "return self.journal.is_cut_off or not isinstance(error, ValueError | TypeError)", "return True", f"{STORE_RUN}::test_a_method_that_refuses_its_image_leaves_nothing"),
    Mutant("running/_store_attempt.py", "n_before = 0 if keeps else total.highest", "n_before = 0", f"{STORE_RUN}::test_frames_one_after_the_other"),
    Mutant("running/_views.py", "return slice(outer.start + part.start, outer.start + part.stop)", "return part", f"{STORE_RUN}::test_it_lies_where_the_image_does"),
    Mutant("methods/_edits.py", "solid = fill_holes(inside)", "solid = inside", f"{OBJECT_EDITS}::test_it_is_cut_at_the_neck_wherever_the_seeds_are"),
    Mutant("methods/_edits.py", "nearer = squared < least", "nearer = squared <= least", f"{OBJECT_EDITS}::test_without_a_neck_seeds_share_half_way_in_the_world"),
    Mutant("methods/_edits.py", "BAND = 1.5", "BAND = 0.5", f"{OBJECT_EDITS}::test_a_cut_follows_the_line_to_the_voxel"),
    Mutant("methods/_edits.py", "beyond = inside & ~left", "beyond = inside", f"{OBJECT_EDITS}::test_a_cut_follows_the_line_to_the_voxel"),
    Mutant("widgets/_dock.py", "            self.deleteLater()", "            pass", f"{CLOSING}::test_a_form_that_is_closed_is_deleted_in_the_thread_of_the_window"),
    Mutant("widgets/_clicks_row.py", "        self.destroyed.connect(lambda: _ROWS.discard(self))", "", f"{CLOSING}::test_forms_that_are_open_do_not_ask_those_that_were_closed"),
    Mutant("widgets/_clicks_row.py", "self.destroyed.connect(self._clicks.listen(self._follow))", "self._clicks.listen(self._follow)", f"{CLOSING}::test_forms_that_are_open_do_not_ask_those_that_were_closed"),
    Mutant("widgets/_result_bar.py", "self.destroyed.connect(self.runs.listen(self._show_runs))", "self.runs.listen(self._show_runs)", f"{CLOSING}::test_forms_that_are_open_do_not_ask_those_that_were_closed"),
    Mutant("widgets/_clicks.py", " if frame_of(self.layer) else known", " if False else known", f"{EDITING}::test_each_frame_is_edited_by_itself_and_new_numbers_are_new_in_all"),
    Mutant("widgets/_run_undo.py", "if not given.untouched() or not ours(self.layer):", "if not ours(self.layer):", f"{RESULTS}::test_undo_never_loses_an_edit"),
    Mutant("widgets/_region_edit.py", 'max(int(provenance["n_labels"]), highest)', 'int(provenance["n_labels"])', f"{REGION_EDIT}::test_the_provenance_notes_edits_and_the_files_elsewhere_stay"),
    Mutant("widgets/_region_edit.py", "if not anyway and not np.array_equal(now, taken.before):", "if False:", f"{REGION_EDIT}::test_a_change_meanwhile_is_noticed_and_may_be_replaced"),
    Mutant("widgets/_region_edit.py", "stores.edit_labels(taken.store, taken.start, undo, storage_options=options)", "pass", f"{REGION_EDIT}::test_a_failure_leaves_the_store_as_it_was"),
    Mutant("widgets/_region_edit.py", "first = min(max(point[axis] - length // 2, start), stop - length)", "first = max(point[axis] - length // 2, start)", f"{REGION_EDIT}::test_a_box_too_large_is_said_and_cut_along_what_is_not_shown"),
    Mutant("widgets/_live_layer.py", "if self.is_there and not self.live.n_blocks and ours", "if self.is_there and ours", f"{LARGE}::test_a_run_that_was_cancelled_goes_on_where_it_was"),
    Mutant("widgets/_target.py", "place = _layers.shifted(aim.place, start, (1.0,) * len(start))", "place = aim.place", f"{LARGE}::test_a_region_that_was_cut_off_comes_back_to_its_place"),
    Mutant("widgets/_large_job.py", "if self._since is None or fraction < self._since[1]:", "if self._since is None:\n            now -= 60", f"{LARGE}::test_a_countdown_starts_where_a_resumed_run_does"),
    Mutant("running/_tile_choice.py", "tile == unit or math.prod(tile) <= min(LARGEST, shares)", "tile == unit or math.prod(tile) <= LARGEST", "tests/test_run_plan.py::test_there_are_tiles_for_every_worker"),
    Mutant("running/_tile_choice.py", "axis = min(short, key=tile.__getitem__)", "axis = short[-1]", "tests/test_run_plan.py::test_tiles_are_near_cubes_whatever_the_blocks"),
    Mutant("_memory.py", "yield max(most - used, 0)", "yield most", "tests/test_run_plan.py::test_what_is_left_of_the_address_space_counts"),
    Mutant("running/_probe.py", "n / self.n_tiles * _read(shape, tile, width)", "n * _read(shape, tile, width)", "tests/test_run_plan.py::test_a_probe_counts_sweeps_and_bytes"),
    Mutant("running/_probe.py", "along.append(max(start - part.start, part.stop - min(start + edge, n), 0))", "along.append(0)", "tests/test_run_plan.py::test_a_probe_counts_what_is_read_around_tiles"),
    Mutant("running/_object_table.py", 'UNITS[unit][1] / UNITS[wanted][1]', 'UNITS[wanted][1] / UNITS[unit][1]', f"{OBJECT_TABLE}::test_channels_frames_and_stores"),
    Mutant("running/_object_table.py", 'of_frame == at, n_voxels', 'of_frame >= at, n_voxels', f"{OBJECT_TABLE}::test_channels_frames_and_stores"),
    Mutant("running/_object_table.py", '["" if value != value else value for value', '[value for value', f"{OBJECT_TABLE}::test_images_of_several_kinds_share_a_table"),
    Mutant("running/_object_table.py", 'at = [kind.index(name) if name in kind else None for name in names]', 'at = list(range(len(kind)))', f"{OBJECT_TABLE}::test_images_of_several_kinds_share_a_table"),
    Mutant("running/_measure.py", 'rel_tol=1e-4', 'rel_tol=1e4', f"{OBJECT_TABLE}::test_what_cannot_be_measured_is_a_line_with_its_reason"),
    Mutant("running/_measure.py", 'first.get(file) or file', 'file', f"{OBJECT_TABLE}::test_resuming_a_folder_keeps_what_is_there_and_counts_it"),
]  # fmt: skip
