// A results line is recognised by its line end: it is the last byte written, so what ends with one is whole.
#include "apps/batch_file.h"

#include <algorithm>
#include <charconv>
#include <filesystem>

#include "apps/batch_identity.h"
#include "base/clock.h"
#include "base/json_reader.h"
#include "base/os_file.h"
#include "base/quote.h"
#include "report/units.h"
#include "text/utf8.h"

namespace rafter::apps {
namespace {

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
    const std::string start = fmt::format("{{\"id\":\"{}", kResultIdPrefix);
    return tail.starts_with(start) || std::string_view(start).starts_with(tail);
}

// The value of \uXXXX at the start of the text.
std::optional<unsigned> escaped_unit(std::string_view text) {
    constexpr std::size_t kSize = 6;
    unsigned unit = 0;
    if (text.size() < kSize || !text.starts_with("\\u")) return std::nullopt;
    const auto read = std::from_chars(text.data() + 2, text.data() + kSize, unit, 16);
    return read.ec == std::errc() && read.ptr == text.data() + kSize ? std::optional(unit) : std::nullopt;
}

// The line with U+FFFD for what is no Unicode in its texts: bytes that are not UTF-8, and escapes of half a surrogate pair.
std::string with_replacements(std::string_view line) {
    std::string text;
    for (std::size_t at = 0; at < line.size();) {
        const std::string_view rest = line.substr(at);
        const auto unit = escaped_unit(rest);
        const auto next = unit ? escaped_unit(rest.substr(6)) : std::nullopt;
        const bool is_high = unit && *unit >= 0xD800 && *unit < 0xDC00;
        if (is_high && next && *next >= 0xDC00 && *next < 0xE000) {
            text += rest.substr(0, 12);
            at += 12;
        } else if (unit) {
            text += *unit >= 0xD800 && *unit < 0xE000 ? "\\ufffd" : rest.substr(0, 6);
            at += 6;
        } else if (rest[0] == '\\') {
            text += rest.substr(0, 2);
            at += 2;
        } else {
            const text::Utf8Char character = text::utf8_char_at(line, at);
            text += character.kind == text::Utf8Kind::kCharacter ? rest.substr(0, character.size) : text::kReplacementCharacter;
            at += character.size;
        }
    }
    return text;
}

// Finds the custom_id of an object, and stops there.
class CustomIdFinder : public nlohmann::json::json_sax_t {
  public:
    std::optional<std::string> found;

    bool null() override { return value(); }
    bool boolean(bool /*value*/) override { return value(); }
    bool number_integer(std::int64_t /*value*/) override { return value(); }
    bool number_unsigned(std::uint64_t /*value*/) override { return value(); }
    bool number_float(double /*value*/, const std::string& /*text*/) override { return value(); }
    bool binary(nlohmann::json::binary_t& /*value*/) override { return value(); }
    bool string(std::string& text) override {
        if (is_next_) found = text;
        return value() && !found;
    }
    bool start_object(std::size_t /*n*/) override { return open('{'); }
    bool start_array(std::size_t /*n*/) override { return open('['); }
    bool end_object() override { return close(); }
    bool end_array() override { return close(); }
    bool key(std::string& name) override {
        is_next_ = in_object_ && depth_ == 1 && name == "custom_id";
        return true;
    }
    bool parse_error(std::size_t /*at*/, const std::string& /*token*/, const nlohmann::json::exception& /*error*/) override {
        return false;
    }

  private:
    bool value() {
        is_next_ = false;
        return true;
    }
    bool open(char bracket) {
        if (depth_++ == 0) in_object_ = bracket == '{';
        return value();
    }
    bool close() {
        --depth_;
        return value();
    }

    bool in_object_ = false;
    std::size_t depth_ = 0;
    bool is_next_ = false;  // the value to come is the custom_id's
};

// Of a line that is no JSON: its custom_id, where that stands before what is wrong, or where only characters are wrong, and not its own.
std::optional<std::string> readable_custom_id(std::string_view line) {
    const std::string text = with_replacements(line);
    CustomIdFinder finder;
    static_cast<void>(nlohmann::json::sax_parse(text, &finder));
    const bool was_replaced = finder.found && finder.found->find(text::kReplacementCharacter) != std::string::npos && text != line;
    return was_replaced || finder.found == "" ? std::nullopt : finder.found;
}

// Why no result can be given for a line; each is counted by itself.
enum class Fault { kNotJson, kNotAnObject, kNoCustomId, kUsedCustomId };

// The first fault, and how many lines have the same one, or another.
class Faults {
  public:
    void add(Fault fault, Error error) {
        if (n_ == 0) first_ = std::move(error);
        if (n_ == 0) kind_ = fault;
        n_ += 1;
        n_of_kind_ += fault == kind_ ? 1 : 0;
    }
    [[nodiscard]] bool none() const { return n_ == 0; }
    [[nodiscard]] Error error() const {
        Error error = first_;
        if (n_of_kind_ > 1) error.message += fmt::format(" (the first of {} such lines)", report::grouped(n_of_kind_));
        const std::size_t n_other = n_ - n_of_kind_;
        if (n_other == 1) error.message += "; 1 line has another fault";
        if (n_other > 1) error.message += fmt::format("; {} lines have other faults", report::grouped(n_other));
        return error;
    }

  private:
    Error first_{""};
    Fault kind_ = Fault::kNotJson;
    std::size_t n_ = 0;
    std::size_t n_of_kind_ = 0;
};

}  // namespace

Result<BatchRequests> BatchRequests::read(const std::string& path, const Visitor& visit) {
    RAFTER_TRY(std::string text, read_file(path));
    BatchRequests requests;
    requests.path_ = path;
    requests.text_ = std::make_unique<const std::string>(std::move(text));
    std::unordered_map<std::string, std::size_t> line_of;  // by custom_id
    Faults faults;
    std::string_view rest = *requests.text_;
    for (std::size_t number = 1; !rest.empty(); ++number) {
        BatchLine line{.number = number, .text = next_line(rest), .custom_id = {}};
        if (is_blank(line.text)) continue;
        auto value = parse_json(line.text, requests.where(line));
        auto custom_id = value ? custom_id_in(*value, requests.where(line)) : value.error();
        if (const auto readable = value ? std::nullopt : readable_custom_id(line.text)) custom_id = *readable;
        if (!custom_id) {
            const Fault fault = !value ? Fault::kNotJson : !value->is_object() ? Fault::kNotAnObject : Fault::kNoCustomId;
            faults.add(fault, custom_id.error());
            continue;
        }
        const auto [known, is_new] = line_of.try_emplace(*custom_id, number);
        if (!is_new) {
            faults.add(Fault::kUsedCustomId,
                       bad_input("{}: custom_id {} is already used on line {}", requests.where(line), quote(*custom_id), known->second));
            continue;
        }
        line.custom_id = *std::move(custom_id);
        requests.lines_.push_back(std::move(line));
        if (!faults.none()) continue;
        // An answer to this line names no file; whoever prints the error adds the place.
        if (!value) value = Error{value.error().message.substr(requests.where(line).size() + 2), value.error().kind};
        visit(requests.lines_.back(), value, 1.0 - static_cast<double>(rest.size()) / static_cast<double>(requests.text_->size()));
    }
    if (faults.none()) return requests;
    return faults.error();
}

Result<BatchResults> BatchResults::open(const std::string& path) {
    RAFTER_TRY(AppendFile file, AppendFile::open(path));
    BatchResults results(path, std::move(file));
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
            if (!custom_id) return Error{custom_id.error().message + "; results are only added to a file of results"};
            const auto id = value->find("id");
            results.answered_.insert_or_assign(*std::move(custom_id), id != value->end() && id->is_string()
                                                                          ? identity_in(id->get_ref<const std::string&>())
                                                                          : std::nullopt);
        }
        if (!is_torn_result(text.substr(n_whole_bytes))) {
            return bad_input("{}: expected results of an earlier run, found a last line without an end that is no result: {}", path,
                             quote(text.substr(n_whole_bytes)));
        }
    }
    RAFTER_TRY_VOID(results.file_.cut(n_whole_bytes));
    return results;
}

const std::optional<ResultIdentity>* BatchResults::find(const std::string& custom_id) const {
    const auto found = answered_.find(custom_id);
    return found == answered_.end() ? nullptr : &found->second;
}

Result<void> BatchResults::set_aside(const std::unordered_set<std::string>& custom_ids) {
    std::string kept;
    std::string replaced;
    {
        RAFTER_TRY(const MappedFile mapped, MappedFile::open(path_));
        std::string_view rest(reinterpret_cast<const char*>(mapped.bytes().data()), mapped.bytes().size());
        while (!rest.empty()) {
            const std::string_view line = next_line(rest);
            if (is_blank(line)) continue;
            RAFTER_TRY(const nlohmann::json value, parse_json(line, path_));
            RAFTER_TRY(const std::string custom_id, custom_id_in(value, path_));
            std::string& to = custom_ids.contains(custom_id) ? replaced : kept;
            to.append(line).append("\n");
        }
    }
    RAFTER_TRY(AppendFile aside, AppendFile::open(set_aside_path()));
    RAFTER_TRY_VOID(aside.append(replaced));
    RAFTER_TRY_VOID(aside.sync());
    RAFTER_TRY_VOID(file_.replace(kept));
    for (const std::string& custom_id : custom_ids) answered_.erase(custom_id);
    return {};
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
    if (file_.is_regular()) error.message += "; run the same command again to continue";
    return error;
}

bool is_same_file(const std::string& one, const std::string& other) {
    std::error_code code;
    return std::filesystem::equivalent(one, other, code) && !code;
}

}  // namespace rafter::apps
