// Lines of one object each.
#include "apps/logprobs_file.h"

#include <fmt/format.h>

#include <cerrno>
#include <system_error>

namespace rafter::apps {

Result<LogprobsFile> LogprobsFile::create(const std::string& path) {
    LogprobsFile file;
    if (path.empty()) return file;
    file.path_ = path;
    file.file_.reset(std::fopen(path.c_str(), "w"));
    if (!file.file_) return file.failed();
    return file;
}

Result<void> LogprobsFile::add(std::size_t window, std::size_t position, engine::TokenId token, double logprob) {
    if (!file_) return {};
    return write(fmt::format("{{\"window\":{},\"position\":{},\"token\":{},\"logprob\":{:.9g}}}\n", window, position, token, logprob));
}

Result<void> LogprobsFile::add(std::size_t window, std::size_t position, engine::TokenId token, const engine::TokenDivergence& both) {
    if (!file_) return {};
    return write(fmt::format(
        "{{\"window\":{},\"position\":{},\"token\":{},\"logprob\":{:.9g},\"reference_logprob\":{:.9g},\"kl\":{:.9g},\"same_top\":{}}}\n",
        window, position, token, both.logprob.value_or(0.0), both.reference_logprob.value_or(0.0), both.kl, both.same_top));
}

Result<void> LogprobsFile::flush() {
    if (file_ && std::fflush(file_.get()) != 0) return failed();
    return {};
}

Result<void> LogprobsFile::close() {
    if (file_ && std::fclose(file_.release()) != 0) return failed();
    return {};
}

Result<void> LogprobsFile::write(const std::string& line) {
    if (std::fwrite(line.data(), 1, line.size(), file_.get()) != line.size()) return failed();
    return {};
}

Error LogprobsFile::failed() const {
    return {fmt::format("{}: cannot be written: {}", path_, std::generic_category().message(errno)), ErrorKind::kIo};
}

}  // namespace rafter::apps
