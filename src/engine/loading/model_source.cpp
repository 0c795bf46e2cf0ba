// A folder is a checkpoint; anything else is opened as GGUF, whose reader says what is wrong with it.
#include "engine/loading/model_source.h"

#include <system_error>

#include "files/gguf.h"
#include "model/hf/checkpoint.h"

namespace rafter::engine {

Result<std::unique_ptr<files::TensorSource>> open_source(const std::filesystem::path& path) {
    std::error_code failed;
    if (std::filesystem::is_directory(path, failed)) return model::open_checkpoint(path);
    RAFTER_TRY(files::GgufFile file, files::GgufFile::open(path));
    return std::unique_ptr<files::TensorSource>(std::make_unique<files::GgufFile>(std::move(file)));
}

}  // namespace rafter::engine
