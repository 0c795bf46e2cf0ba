"""Headers of formats are compiled into files of one instruction set, so they may define no symbol that the linker shares between files."""
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
ALLOWED_INCLUDES = re.compile(r"<cstdint>|<cstddef>|\"tensor/(dtype|half|formats/\w+)\.h\"")


def compiler():
    with open(os.path.join(os.environ["RAFTER_BUILD_DIR"], "CMakeCache.txt")) as cache:
        return re.search(r"^CMAKE_CXX_COMPILER:\w+=(.*)$", cache.read(), re.M).group(1)


def main():
    if not shutil.which("nm"):
        print("skipped: nm (binutils) is not installed")
        return 77
    folder = os.path.join(ROOT, "src", "tensor")
    headers = [h for h in glob.glob(folder + "/formats/*.h") if not h.endswith("/formats.h")] + [folder + "/half.h", folder + "/dtype.h"]
    formats = []
    for header in headers:
        text = open(header).read()
        for include in re.findall(r"^\s*#\s*include\s+(.*)", text, re.M):
            assert ALLOWED_INCLUDES.fullmatch(include.strip()), f"{header} includes {include}"
        formats += re.findall(r"static constexpr DType kDType = DType::k(\w+);", text)
    assert len(formats) == 17, f"expected 17 formats, found {sorted(formats)}"

    # Uses everything, so that everything is emitted somewhere.
    source = "".join(f'#include "{os.path.relpath(h, ROOT + "/src")}"\n' for h in headers) + "using namespace rafter::tensor;\n"
    for name in formats:
        source += f'extern "C" void decode_{name}(const {name}::Block& b, float* v) {{ {name}::decode(b, v); }}\n'
        if name != "I32":
            source += f'extern "C" void encode_{name}({name}::Block& b, const float* v) {{ {name}::encode(v, b); }}\n'
    with tempfile.TemporaryDirectory() as out:
        for flags in ["-O0"], ["-O0", "-mavx512f", "-mavx2"], ["-O2"]:
            command = [compiler(), "-std=c++20", *flags, "-I", ROOT + "/src", "-x", "c++", "-", "-c", "-o", out + "/all.o"]
            subprocess.run(command, input=source.encode(), check=True)
            symbols = subprocess.run(["nm", "--extern-only", "--defined-only", out + "/all.o"], stdout=subprocess.PIPE, check=True).stdout.decode()
            names = {line.split()[-1] for line in symbols.splitlines()}
            expected = {f"{verb}_{n}" for n in formats for verb in ("decode", "encode")} - {"encode_I32"}
            assert names == expected, f"{' '.join(flags)}: the linker also sees {sorted(names - expected)}"
    print(f"{len(formats)} formats, no symbol shared")
    return 0


if __name__ == "__main__":
    sys.exit(main())
