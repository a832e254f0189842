"""NVIDIA's run-time compiler, from its wheel: it needs no driver and no GPU."""

from __future__ import annotations

import ctypes
from importlib.util import find_spec
from pathlib import Path


def library() -> Path | None:
    """Return where NVRTC is installed, or None."""
    try:
        spec = find_spec("nvidia.cuda_nvrtc")
    except ModuleNotFoundError:
        return None
    folders = list(spec.submodule_search_locations or ()) if spec else []
    return next((path for folder in folders for path in Path(folder).glob("lib/libnvrtc.so.*")), None)


def compile_cuda(source: Path, options: tuple[str, ...]) -> tuple[int, str]:
    """Compile a file as ``cupy.RawModule`` would; return NVRTC's result, 0 for success, and its log."""
    nvrtc = ctypes.CDLL(str(library()))
    program = ctypes.c_void_p()
    text, name = source.read_bytes(), source.name.encode()
    made = nvrtc.nvrtcCreateProgram(ctypes.byref(program), text, name, 0, None, None)
    if made:
        raise RuntimeError(f"NVRTC cannot make a program: result {made}")
    words = (ctypes.c_char_p * len(options))(*(option.encode() for option in options))
    result = nvrtc.nvrtcCompileProgram(program, len(words), words)
    size = ctypes.c_size_t()
    nvrtc.nvrtcGetProgramLogSize(program, ctypes.byref(size))
    log = ctypes.create_string_buffer(size.value)
    nvrtc.nvrtcGetProgramLog(program, log)
    nvrtc.nvrtcDestroyProgram(ctypes.byref(program))
    return result, log.value.decode()
