// Reading a ladder's JSON again. The file may come from anybody: each key's type and range is checked, and the error says where it stands.
#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/json_reader.h"
#include "planning/ladder/json_keys.h"
#include "planning/ladder/report.h"

namespace rafter::planning {
namespace {

using nlohmann::json;

constexpr double kMax = std::numeric_limits<double>::max();
constexpr double kMaxCount = 9007199254740992.0;  // 2^53: whole numbers up to it are exact in a double
constexpr std::size_t kMaxItems = 10'000;         // of a list
constexpr std::size_t kMaxRungs = 1'000;

// One object of the file. Null is a number that is none: NaN.
class Object {
  public:
    [[nodiscard]] static Result<Object> open(const json& value, std::string where) {
        RAFTER_TRY(JsonReader reader, JsonReader::open(value, std::move(where)));
        return Object(value, std::move(reader));
    }

    [[nodiscard]] Result<double> number(const std::string& key, double low = 0.0, double high = kMax) const {
        RAFTER_TRY(const auto found, find_number(key, low, high));
        if (found) return *found;
        if (!value_->contains(key)) return missing(key, "a number");
        return std::nan("");
    }
    // Nothing where it is null or missing.
    [[nodiscard]] Result<std::optional<double>> find_number(const std::string& key, double low = 0.0, double high = kMax) const {
        const json* found = reader_.find(key);
        if (found == nullptr) return std::optional<double>();
        const double n = found->is_number() ? found->get<double>() : std::nan("");
        if (n >= low && n <= high) return std::optional<double>(n);
        const std::string expected = low == -kMax   ? "a number"
                                     : high == kMax ? fmt::format("a number of at least {}", low)
                                                    : fmt::format("a number from {} to {}", low, high);
        return bad_input("{}: {}: expected {}, found {}", where(), key, expected, shown_json(*found));
    }
    [[nodiscard]] Result<std::string> text(const std::string& key) const {
        RAFTER_TRY(auto found, reader_.find_string(key));
        if (!found) return missing(key, "a text");
        return std::move(*found);
    }
    [[nodiscard]] Result<bool> flag(const std::string& key) const {
        RAFTER_TRY(const auto found, reader_.find_bool(key));
        if (!found) return missing(key, "true or false");
        return *found;
    }
    [[nodiscard]] Result<double> whole(const std::string& key, double low) const {
        RAFTER_TRY(const double n, reader_.get_number(key, low, kMaxCount));
        if (n != std::floor(n)) return bad_input("{}: {}: expected a whole number, found {}", where(), key, shown_json(value_->at(key)));
        return n;
    }
    [[nodiscard]] Result<Object> object(const std::string& key) const {
        const json* found = reader_.find(key);
        if (found == nullptr) return missing(key, "an object");
        return open(*found, fmt::format("{}: {}", where(), key));
    }
    [[nodiscard]] Result<const json*> list(const std::string& key, std::size_t most = kMaxItems) const {
        const json* found = reader_.find(key);
        if (found == nullptr) return missing(key, "a list");
        if (!found->is_array()) return bad_input("{}: {}: expected a list, found {}", where(), key, shown_json(*found));
        if (found->size() > most) return bad_input("{}: {}: expected a list of at most {}, found {}", where(), key, most, found->size());
        return found;
    }
    [[nodiscard]] Result<std::vector<std::string>> texts(const std::string& key) const {
        RAFTER_TRY(const json* const found, list(key));
        std::vector<std::string> texts;
        for (const json& item : *found) {
            if (!item.is_string()) {
                return bad_input("{}: {}[{}]: expected a text, found {}", where(), key, texts.size(), shown_json(item));
            }
            texts.push_back(item.get<std::string>());
        }
        return texts;
    }
    [[nodiscard]] const JsonReader& reader() const { return reader_; }
    [[nodiscard]] const std::string& where() const { return reader_.where(); }

  private:
    Object(const json& value, JsonReader reader) : value_(&value), reader_(std::move(reader)) {}
    [[nodiscard]] Error missing(const std::string& key, std::string_view expected) const {
        return bad_input("{}: {}: expected {}, found no such key", where(), key, expected);
    }

    const json* value_;
    JsonReader reader_;
};

Result<LadderPoint> point_of(const Object& rung, const std::string& key) {
    RAFTER_TRY(const Object o, rung.object(key));
    LadderPoint p;
    RAFTER_TRY(p.is_run, o.flag("is_run"));
    RAFTER_TRY(p.tokens, o.number("tokens"));
    RAFTER_TRY(p.n_sequences, o.number("n_sequences"));
    RAFTER_TRY(p.n_context, o.number("n_context"));
    RAFTER_TRY(p.predicted_seconds, o.number("predicted_seconds"));
    RAFTER_TRY(p.measured_seconds, o.find_number("measured_seconds"));
    RAFTER_TRY(p.spread, o.number("spread"));
    RAFTER_TRY(p.flops, o.number("flops"));
    RAFTER_TRY(p.bytes, o.number("bytes"));
    RAFTER_TRY(p.roof_seconds, o.number("roof_seconds"));
    RAFTER_TRY(p.roof_rate, o.number("roof_rate_per_s"));
    RAFTER_TRY(p.level, o.text("level"));
    RAFTER_TRY(p.memory_bytes, o.number("memory_bytes"));
    RAFTER_TRY(const std::string roof, o.text("roof"));
    using roofline::PriceBound;
    for (const PriceBound bound : {PriceBound::kMemory, PriceBound::kCompute, PriceBound::kOverhead}) {
        if (roof == roofline::to_string(bound)) {
            p.roof = bound;
            return p;
        }
    }
    return bad_input("{}: roof: expected \"memory\", \"compute\" or \"overhead\", found {}", o.where(), shown_json(roof));
}

Result<OutputCheck> check_of(const Object& rung) {
    RAFTER_TRY(const Object o, rung.object("check"));
    OutputCheck c;
    RAFTER_TRY(const std::string kind, o.text("kind"));
    const auto found = std::ranges::find(kCheckKinds, kind);
    if (found == kCheckKinds.end()) {
        return bad_input("{}: kind: expected \"none\", \"same_bits\", \"same_tokens\" or \"divergence\", found {}", o.where(),
                         shown_json(kind));
    }
    c.kind = static_cast<OutputCheck::Kind>(found - kCheckKinds.begin());
    RAFTER_TRY(c.passed, o.flag("passed"));
    RAFTER_TRY(const double n_tokens, o.whole("n_tokens", 0.0));
    c.n_tokens = static_cast<std::uint64_t>(n_tokens);
    RAFTER_TRY(c.against, o.text("against"));
    RAFTER_TRY(c.mean_kl, o.number("mean_kl_nats", -kMax));
    RAFTER_TRY(c.max_kl, o.number("max_kl_nats", -kMax));
    RAFTER_TRY(c.same_top, o.number("same_top_fraction", 0.0, 1.0));
    return c;
}

Result<LadderRung> rung_of(const json& value, std::string where) {
    RAFTER_TRY(const Object o, Object::open(value, std::move(where)));
    LadderRung r;
    RAFTER_TRY(r.id, o.text("id"));
    RAFTER_TRY(r.name, o.text("name"));
    RAFTER_TRY(r.options, o.text("options"));
    RAFTER_TRY(r.load, o.text("load"));
    RAFTER_TRY(r.why, o.text("why"));
    RAFTER_TRY(r.on_path, o.flag("on_path"));
    RAFTER_TRY(r.skipped, o.reader().find_string("skipped"));
    RAFTER_TRY(r.before, point_of(o, "before"));
    RAFTER_TRY(r.after, point_of(o, "after"));
    RAFTER_TRY(r.check, check_of(o));
    RAFTER_TRY(r.notes, o.texts("notes"));
    return r;
}

Result<LadderAim> aim_of(const json& value, std::string where) {
    RAFTER_TRY(const Object o, Object::open(value, std::move(where)));
    LadderAim a;
    RAFTER_TRY(a.what, o.text("what"));
    RAFTER_TRY(a.wanted, o.number("wanted"));
    RAFTER_TRY(a.reached, o.number("reached"));
    RAFTER_TRY(a.is_share, o.flag("is_share"));
    RAFTER_TRY(a.reason, o.text("reason"));
    return a;
}

Result<LadderRoof> roof_of(const json& value, std::string where) {
    RAFTER_TRY(const Object o, Object::open(value, std::move(where)));
    LadderRoof r;
    RAFTER_TRY(r.name, o.text("name"));
    RAFTER_TRY(r.flop_per_s, o.number("flop_per_s"));
    return r;
}

// A list of objects, each read by `read`.
template <typename T>
Result<std::vector<T>> all_of(const Object& parent, const std::string& key, std::size_t most, Result<T> (*read)(const json&, std::string)) {
    RAFTER_TRY(const json* const list, parent.list(key, most));
    std::vector<T> items;
    for (const json& value : *list) {
        RAFTER_TRY(T item, read(value, fmt::format("{}: {}[{}]", parent.where(), key, items.size())));
        items.push_back(std::move(item));
    }
    return items;
}

Result<void> read_machine(const Object& root, Ladder& l) {
    RAFTER_TRY(const Object o, root.object("machine"));
    RAFTER_TRY(l.hardware, o.text("hardware"));
    RAFTER_TRY(l.bytes_per_s, o.number("memory_bytes_per_s"));
    RAFTER_TRY(l.roofs, all_of<LadderRoof>(o, "roofs", kMaxItems, roof_of));
    RAFTER_TRY(l.noise, o.number("noise"));
    RAFTER_TRY(l.trusted, o.flag("trusted"));
    RAFTER_TRY(l.n_probes, o.reader().get_uint("n_probes", 0, std::numeric_limits<std::uint32_t>::max()));
    return {};
}

}  // namespace

Result<Ladder> read_ladder(const std::string& text, const std::string& name) {
    RAFTER_TRY(const json file, parse_json(text, name));
    RAFTER_TRY(const Object o, Object::open(file, name));
    const json* const format = o.reader().find("format");
    if (format == nullptr)
        return bad_input("{}: format: expected {}, found no such key: not a file of rafter ladder --json", name, kLadderFormat);
    if (*format != json(kLadderFormat)) {
        return bad_input("{}: format: expected {}, found {}: it was made by another version of rafter", name, kLadderFormat,
                         shown_json(*format));
    }
    Ladder l;
    RAFTER_TRY(l.warnings, o.texts("warnings"));
    RAFTER_TRY(l.measured, o.flag("measured"));
    RAFTER_TRY(l.complete, o.flag("complete"));
    RAFTER_TRY(l.quick, o.flag("quick"));
    RAFTER_TRY(const Object model, o.object("model"));
    RAFTER_TRY(l.model, model.text("name"));
    RAFTER_TRY(l.file, model.text("file"));
    RAFTER_TRY(l.parameters, model.number("parameters"));
    RAFTER_TRY_VOID(read_machine(o, l));
    RAFTER_TRY(l.version, o.text("version"));
    RAFTER_TRY(l.command, o.text("command"));
    RAFTER_TRY(const double time, o.whole("time_unix_seconds", -kMaxCount));
    l.time = static_cast<std::int64_t>(time);
    RAFTER_TRY(l.seconds, o.number("climb_seconds"));
    RAFTER_TRY(l.rungs, all_of<LadderRung>(o, "rungs", kMaxRungs, rung_of));
    RAFTER_TRY(l.aims, all_of<LadderAim>(o, "aims", kMaxItems, aim_of));
    RAFTER_TRY(l.method, o.texts("method"));
    RAFTER_TRY(l.caveats, o.texts("caveats"));
    return l;
}

}  // namespace rafter::planning
