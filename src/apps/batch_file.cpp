// A results line is recognised by its line end: it is the last byte written, so what ends with one is whole.
#include "apps/batch_file.h"

#include <algorithm>
#include <filesystem>
#include <unordered_map>

#include "base/clock.h"
#include "base/json_reader.h"
#include "base/os_file.h"
#include "base/quote.h"

namespace rafter::apps {
namespace {

constexpr std::string_view kIdPrefix = "batch_req_";
constexpr std::int64_t kSyncEveryNs = 1'000'000'000;

// Takes the first line off, without its line end.
std::string_view next_line(std::string_view& rest) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    return line;
}

bool is_blank(std::string_view line) { return line.find_first_not_of(" \t\r") == std::string_view::npos; }

Result<std::string> custom_id_in(const nlohmann::json& value, const std::string& where) {
    RAFTER_TRY(const JsonReader reader, JsonReader::open(value, where));
    RAFTER_TRY(auto custom_id, reader.find_string("custom_id"));
    if (!custom_id) return bad_input("{}: custom_id: expected a text, found no such key", where);
    if (custom_id->empty()) return bad_input("{}: custom_id: expected a text that is not empty, found \"\"", where);
    return *std::move(custom_id);
}

// What a kill in the middle of a write leaves: the start of a result. After a power failure zeros may stand for what did not reach the
// disk.
bool is_torn_result(std::string_view tail) {
    tail = tail.substr(0, tail.find_last_not_of('\0') + 1);
    const std::string start = fmt::format("{{\"id\":\"{}", kIdPrefix);
    return tail.starts_with(start) || std::string_view(start).starts_with(tail);
}

}  // namespace

Result<BatchRequests> BatchRequests::read(const std::string& path, const Visitor& visit) {
    RAFTER_TRY(std::string text, read_file(path));
    BatchRequests requests;
    requests.path_ = path;
    requests.text_ = std::make_unique<const std::string>(std::move(text));
    std::unordered_map<std::string, std::size_t> line_of;  // by custom_id
    std::optional<Error> first_error;
    std::size_t n_errors = 0;
    const auto note = [&](Error error) {
        if (!first_error) first_error = std::move(error);
        ++n_errors;
    };
    std::string_view rest = *requests.text_;
    for (std::size_t number = 1; !rest.empty(); ++number) {
        BatchLine line{.number = number, .text = next_line(rest), .custom_id = {}};
        if (is_blank(line.text)) continue;
        const auto value = parse_json(line.text, requests.where(line));
        auto custom_id = value ? custom_id_in(*value, requests.where(line)) : value.error();
        if (!custom_id) {
            note(custom_id.error());
            continue;
        }
        const auto [known, is_new] = line_of.try_emplace(*custom_id, number);
        if (!is_new) {
            note(bad_input("{}: custom_id: expected one that no other line has, found {}, which is line {}'s", requests.where(line),
                           quote(*custom_id), known->second));
            continue;
        }
        line.custom_id = *std::move(custom_id);
        requests.lines_.push_back(std::move(line));
        if (first_error) continue;
        visit(requests.lines_.back(), *value, 1.0 - static_cast<double>(rest.size()) / static_cast<double>(requests.text_->size()));
    }
    if (!first_error) return requests;
    if (n_errors > 1) first_error->message += fmt::format(" (the first of {} such lines)", n_errors);
    return *first_error;
}

Result<BatchResults> BatchResults::open(const std::string& path) {
    RAFTER_TRY(AppendFile file, AppendFile::open(path));
    BatchResults results(std::move(file));
    if (results.file_.size_bytes() == 0) return results;
    std::size_t n_whole_bytes = 0;
    {
        RAFTER_TRY(const MappedFile mapped, MappedFile::open(path));
        const std::string_view text(reinterpret_cast<const char*>(mapped.bytes().data()), mapped.bytes().size());
        n_whole_bytes = text.rfind('\n') + 1;  // 0 when there is none
        std::string_view rest = text.substr(0, n_whole_bytes);
        for (std::size_t number = 1; !rest.empty(); ++number) {
            const std::string_view line = next_line(rest);
            if (is_blank(line)) continue;
            const std::string where = fmt::format("{}: line {}", path, number);
            const auto value = parse_json(line, where);
            auto custom_id = value ? custom_id_in(*value, where) : value.error();
            if (!custom_id) return Error{custom_id.error().message + "; results are only added to results of an earlier run"};
            results.answered_.insert(*std::move(custom_id));
        }
        if (!is_torn_result(text.substr(n_whole_bytes))) {
            return bad_input("{}: expected results of an earlier run, found a last line without an end that is none: {}", path,
                             quote(text.substr(n_whole_bytes)));
        }
    }
    RAFTER_TRY_VOID(results.file_.cut(n_whole_bytes));
    return results;
}

Result<void> BatchResults::add(const nlohmann::ordered_json& result) {
    // A model file's name may be any bytes.
    const std::string line = result.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + '\n';
    if (auto added = file_.append(line); !added) return resumable(added.error());
    if (monotonic_ns() - synced_ns_ < kSyncEveryNs) return {};
    return sync();
}

Result<void> BatchResults::sync() {
    if (auto synced = file_.sync(); !synced) return resumable(synced.error());
    synced_ns_ = monotonic_ns();
    return {};
}

Error BatchResults::resumable(Error error) const {
    if (file_.is_regular()) error.message += "; the same command goes on where this one ended";
    return error;
}

std::string batch_request_id(std::string_view unique) { return fmt::format("{}{}", kIdPrefix, unique); }

bool is_same_file(const std::string& one, const std::string& other) {
    std::error_code code;
    return std::filesystem::equivalent(one, other, code) && !code;
}

}  // namespace rafter::apps
