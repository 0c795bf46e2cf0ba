// What was received lies in NAME.part, with the ETag of what it is a part of in NAME.part.etag.
#include "apps/fetch_hub.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <memory>
#include <thread>

#include "apps/http.h"
#include "apps/output.h"
#include "base/clock.h"
#include "base/os_append_file.h"
#include "base/os_file.h"
#include "base/os_terminal.h"
#include "base/quote.h"
#include "report/units.h"

namespace rafter::apps {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxListBytes = 64'000'000;
constexpr int kMaxTries = 4;  // without a byte between them
constexpr auto kPause = std::chrono::milliseconds(500);
constexpr std::string_view kAgain = "; run the same command again to continue";

// SHA-256 by OpenSSL's libcrypto.
class Sha256 {
  public:
    Sha256() { EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr); }
    void add(std::string_view bytes) { EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()); }
    // In hexadecimal; ends it.
    [[nodiscard]] std::string finish() {
        std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
        unsigned size = 0;
        EVP_DigestFinal_ex(context_.get(), digest.data(), &size);
        std::string text;
        for (unsigned i = 0; i < size; ++i) text += fmt::format("{:02x}", digest[i]);
        return text;
    }

  private:
    struct End {
        void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
    };
    std::unique_ptr<EVP_MD_CTX, End> context_{EVP_MD_CTX_new()};
};

Result<std::string> sha256_of(const fs::path& path) {
    Sha256 sha;
    RAFTER_TRY(const MappedFile file, MappedFile::open(path));
    constexpr std::size_t kBlock = std::size_t{1} << 24U;
    for (std::size_t at = 0; at < file.bytes().size(); at += kBlock) {
        const auto block = file.bytes().subspan(at, std::min(kBlock, file.bytes().size() - at));
        sha.add({reinterpret_cast<const char*>(block.data()), block.size()});
        file.release(block);
    }
    return sha.finish();
}

// "\"abc\"" of a strong ETag is good for If-Range.
bool is_strong(std::string_view etag) { return etag.size() > 2 && etag.front() == '"' && etag.back() == '"'; }

// The SHA-256 that an ETag of a large file is; "" where it is something else.
std::string sha256_in(std::string_view etag) {
    if (!is_strong(etag) || etag.size() != 66) return {};
    const std::string_view digits = etag.substr(1, 64);
    return digits.find_first_not_of("0123456789abcdef") == std::string_view::npos ? std::string(digits) : std::string();
}

Error status_error(const std::string& where, long status) {
    constexpr long kUnauthorized = 401;
    constexpr long kForbidden = 403;
    constexpr long kNotFound = 404;
    constexpr long kFirstServerError = 500;
    std::string why = fmt::format("the endpoint answered with status {}", status);
    if (status == kUnauthorized || status == kForbidden) {
        why += ": no such repository, or access to it needs a token (HF_TOKEN) and perhaps its licence accepted on its page";
    }
    if (status == kNotFound) why += ": no such repository or file";
    return {fmt::format("{}: {}", where, why), status >= kFirstServerError ? ErrorKind::kBusy : ErrorKind::kIo};
}

// Receives a file, perhaps over several tries.
class PartFile : public HttpSink {
  public:
    PartFile(fs::path target, const HubFile& file, report::Progress& bar)
        : target_(std::move(target)), sha256_(file.sha256), size_bytes_(file.size_bytes), bar_(bar) {}

    [[nodiscard]] Result<void> open() {
        RAFTER_TRY(AppendFile part, AppendFile::open(part_path()));
        part_.emplace(std::move(part));
        std::error_code error;
        if (fs::exists(etag_path(), error)) {
            RAFTER_TRY(etag_, read_file(etag_path()));
        }
        // Nothing says of what this is a part.
        if (!is_strong(etag_)) RAFTER_TRY_VOID(part_->cut(0));
        return {};
    }
    [[nodiscard]] std::uint64_t n_received() const { return part_->size_bytes(); }
    [[nodiscard]] const std::string& etag() const { return etag_; }

    Result<void> begin(const HttpHead& head) override {
        constexpr long kRangeNotSatisfiable = 416;
        start_ns_ = monotonic_ns();
        n_before_ = n_received();
        if (head.status == kRangeNotSatisfiable && size_bytes_ == n_received()) {
            discards_ = true;  // all of it is here
            return {};
        }
        if (head.status == kRangeNotSatisfiable) {
            RAFTER_TRY_VOID(part_->cut(0));
            return Error{fmt::format("{}: another file is there now", target_.filename().string()), ErrorKind::kBusy};
        }
        if (head.status != 200 && head.status != 206) return status_error(target_.filename().string(), head.status);
        discards_ = false;
        if (sha256_.empty()) sha256_ = sha256_in(head.linked_etag);
        if (!size_bytes_) size_bytes_ = head.size_bytes;
        if (n_received() > 0 && head.begin != n_received()) {
            fmt::print(stderr, "{} is another file now, or the server sends no parts: starting over\n", target_.filename().string());
            RAFTER_TRY_VOID(part_->cut(0));
        }
        if (head.begin != n_received())
            return bad_input("{}: expected bytes from {} on, found them from {}", target_.filename().string(), n_received(), head.begin);
        if (head.etag != etag_ || n_received() == 0) {
            etag_ = head.etag;
            RAFTER_TRY_VOID(write_file(etag_path(), etag_));
        }
        return check_space();
    }
    Result<void> write(std::string_view bytes) override {
        if (discards_) return {};
        if (size_bytes_ && n_received() + bytes.size() > *size_bytes_) {
            return bad_input("{}: expected {} bytes, found more", target_.filename().string(), report::grouped(*size_bytes_));
        }
        if (Result<void> added = part_->append(bytes); !added) return Error{added.error().message + std::string(kAgain), ErrorKind::kIo};
        show();
        return {};
    }

    // The whole file under its name, when all of it came and it is right.
    [[nodiscard]] Result<void> finish() {
        if (size_bytes_ && n_received() != *size_bytes_) {
            return Error{fmt::format("{}: expected {} bytes, found {}", target_.filename().string(), report::grouped(*size_bytes_),
                                     report::grouped(n_received())),
                         ErrorKind::kBusy};
        }
        if (auto synced = part_->sync(); !synced) return Error{synced.error().message + std::string(kAgain), ErrorKind::kIo};
        RAFTER_TRY_VOID(check());
        std::error_code error;
        fs::rename(part_path(), target_, error);
        if (error) return Error{fmt::format("{}: cannot be written: {}", target_.string(), error.message()), ErrorKind::kIo};
        fs::remove(etag_path(), error);
        return {};
    }

  private:
    [[nodiscard]] fs::path part_path() const { return target_.string() + ".part"; }
    [[nodiscard]] fs::path etag_path() const { return target_.string() + ".part.etag"; }

    // A wrong file is removed: going on with it would give the same again.
    [[nodiscard]] Result<void> check() {
        std::string wrong;
        if (!sha256_.empty()) {
            RAFTER_TRY(const std::string found, sha256_of(part_path()));
            if (found != sha256_) wrong = fmt::format("checksum: expected SHA-256 {}, found {}", sha256_, found);
        } else {
            RAFTER_TRY(const MappedFile file, MappedFile::open(part_path()));
            const std::string_view text(reinterpret_cast<const char*>(file.bytes().data()), std::min<std::size_t>(file.bytes().size(), 4));
            const bool is_gguf = target_.extension() == ".gguf";
            if (is_gguf && text != "GGUF") wrong = "expected a GGUF file, found another kind";
            if (is_gguf || target_.extension() == ".safetensors") {
                fmt::print(stderr, "{}: the endpoint gives no checksum; only its size was checked\n", target_.filename().string());
            }
        }
        if (wrong.empty()) return {};
        std::error_code error;
        fs::remove(part_path(), error);
        fs::remove(etag_path(), error);
        return bad_input("{}: {}", target_.filename().string(), wrong);
    }

    [[nodiscard]] Result<void> check_space() {
        std::error_code error;
        const fs::space_info space = fs::space(target_.parent_path(), error);
        if (error || !size_bytes_) return {};
        const std::uint64_t n_left = *size_bytes_ - std::min(*size_bytes_, n_received());
        if (space.available >= n_left) return {};
        return Error{fmt::format("{}: expected room for {} more, found {} on that disk{}", target_.parent_path().string(),
                                 report::bytes(static_cast<double>(n_left)), report::bytes(static_cast<double>(space.available)), kAgain),
                     ErrorKind::kIo};
    }

    void show() {
        if (!size_bytes_ || *size_bytes_ == 0) return;
        const double seconds = static_cast<double>(monotonic_ns() - start_ns_) * 1e-9;
        const double rate = static_cast<double>(n_received() - n_before_) / std::max(seconds, 1e-3);
        bar_.update(static_cast<double>(n_received()) / static_cast<double>(*size_bytes_),
                    fmt::format("{} of {}, {}", report::bytes(static_cast<double>(n_received())),
                                report::bytes(static_cast<double>(*size_bytes_)), report::bytes_per_second(rate)));
    }

    fs::path target_;
    std::string sha256_;
    std::optional<std::uint64_t> size_bytes_;
    report::Progress& bar_;
    std::optional<AppendFile> part_;
    std::string etag_;
    bool discards_ = false;
    std::int64_t start_ns_ = 0;
    std::uint64_t n_before_ = 0;
};

// Whether the file is there already, whole and right. Fails where another one has its name.
Result<bool> is_here(const fs::path& target, const HubFile& file) {
    std::error_code error;
    if (!fs::exists(target, error)) return false;
    const std::uint64_t size = fs::file_size(target, error);
    std::string found = report::grouped(size) + " bytes";
    bool is_same = !error && (!file.size_bytes || *file.size_bytes == size);
    if (is_same && !file.sha256.empty()) {
        RAFTER_TRY(const std::string sha256, sha256_of(target));
        is_same = sha256 == file.sha256;
        found = "SHA-256 " + sha256;
    }
    if (is_same) return true;
    const std::string command = target.extension() == ".gguf" ? ": rafter models rm " + target.stem().string() : "";
    return bad_input("{}: another file has this name ({}); remove it first{}", target.string(), found, command);
}

// False after Ctrl-C.
Result<bool> fetch_file(const Environment& environment, const HubName& name, const HubFile& file, const fs::path& target,
                        InterruptFlag& interrupt) {
    std::string url = fmt::format("{}/{}/{}/resolve/main", environment.hf_endpoint, url_part(name.user), url_part(name.repo));
    for (std::string_view rest = file.path; !rest.empty();) {
        const std::size_t end = std::min(rest.find('/'), rest.size());
        url += "/" + url_part(rest.substr(0, end));
        rest.remove_prefix(std::min(end + 1, rest.size()));
    }
    report::Progress bar(stderr_terminal(environment), "Fetching " + file.name());
    PartFile part(target, file, bar);
    RAFTER_TRY_VOID(part.open());
    for (int n_tries = 1;; ++n_tries) {
        const std::uint64_t n_before = part.n_received();
        const auto end = http_get({.url = url,
                                   .token = environment.hf_token,
                                   .begin = n_before,
                                   .if_range = part.etag(),
                                   .is_interrupted = [&] { return interrupt.is_set(); }},
                                  part);
        if (end && *end == HttpEnd::kInterrupted) return false;
        Result<void> done = end ? part.finish() : end.error();
        if (done) return true;
        if (part.n_received() > n_before) n_tries = 0;
        if (done.error().kind != ErrorKind::kBusy || n_tries >= kMaxTries) {
            bar.clear();
            if (done.error().kind == ErrorKind::kBusy) return Error{done.error().message + std::string(kAgain), ErrorKind::kIo};
            return done.error();
        }
        std::this_thread::sleep_for(kPause);
        if (interrupt.is_set()) return false;
    }
}

}  // namespace

Result<std::optional<fs::path>> fetch_from_hub(const Environment& environment, const HubName& name, const fs::path& folder) {
    InterruptFlag interrupt;
    const std::string list_url =
        fmt::format("{}/api/models/{}/{}?blobs=true", environment.hf_endpoint, url_part(name.user), url_part(name.repo));
    RAFTER_TRY(
        const HttpText list,
        http_text({.url = list_url, .token = environment.hf_token, .if_range = {}, .is_interrupted = [&] { return interrupt.is_set(); }},
                  kMaxListBytes));
    if (list.status != 200) return status_error(name.repository(), list.status);
    RAFTER_TRY(const std::vector<HubFile> files, hub_files(list.body, name));
    RAFTER_TRY(const HubModel model, choose_hub_model(files, name));
    const fs::path into = model.is_checkpoint ? folder / name.repo : folder;
    std::error_code error;
    fs::create_directories(into, error);
    if (error) return Error{fmt::format("{}: cannot be made: {}", into.string(), error.message()), ErrorKind::kIo};
    for (const HubFile& part : model.files) {
        const fs::path target = into / part.name();
        RAFTER_TRY(const bool here, is_here(target, part));
        if (here) continue;
        const std::string size = part.size_bytes ? fmt::format(" ({})", report::bytes(static_cast<double>(*part.size_bytes))) : "";
        fmt::print(stderr, "Fetching {}{} from {}\n", part.name(), size, name.repository());
        RAFTER_TRY(const bool done, fetch_file(environment, name, part, target, interrupt));
        if (!done) {
            fmt::print(stderr, "interrupted{}\n", kAgain);
            return std::optional<fs::path>();
        }
    }
    return std::optional<fs::path>(model.is_checkpoint ? into : into / model.files.front().name());
}

}  // namespace rafter::apps
