// A profile as a JSON file. Reading trusts nothing: the file lies in a folder that anybody may write to, and older programs wrote others.
#include <fmt/format.h>

#include <array>
#include <cmath>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "base/os_file.h"
#include "base/quote.h"
#include "hardware/profile.h"
#include "tensor/formats/formats.h"

namespace rafter::hardware {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr int kFormat = 2;
constexpr std::size_t kMaxReadings = 100'000;

// Checked access to one object. The first thing that is wrong is kept, with its place; after it everything reads as nothing.
class Reader {
  public:
    Reader(const json& object, std::string place, std::optional<Error>& error) : object_(object), place_(std::move(place)), error_(error) {
        if (!object_.is_object()) fail("", "an object");
    }

    // A finite number of at least `least`.
    double number(const char* key, double least = 0.0) {
        const json* value = find(key);
        if (value == nullptr) return 0.0;
        const double x = value->is_number() ? value->get<double>() : NAN;
        if (!std::isfinite(x) || x < least) fail(key, least > 0.0 ? "a positive number" : "a number that is not negative");
        return std::isfinite(x) ? x : 0.0;
    }
    double positive(const char* key) { return number(key, 1e-300); }
    unsigned count(const char* key) {
        const double x = number(key, 1.0);
        if (x > 1e6 || x != std::floor(x)) fail(key, "a count");
        return error_ ? 1 : static_cast<unsigned>(x);
    }
    bool flag(const char* key) {
        const json* value = find(key);
        if (value != nullptr && !value->is_boolean()) fail(key, "true or false");
        return value != nullptr && value->is_boolean() && value->get<bool>();
    }
    std::string text(const char* key) {
        const json* value = find(key);
        if (value != nullptr && !value->is_string()) fail(key, "a text");
        return value != nullptr && value->is_string() ? value->get<std::string>() : "";
    }
    template <typename ReadOne>
    void list(const char* key, const ReadOne& read_one) {
        const json* value = find(key);
        if (value != nullptr && (!value->is_array() || value->size() > kMaxReadings)) fail(key, "a list");
        for (std::size_t i = 0; !error_ && i < value->size(); ++i) {
            Reader reader((*value)[i], fmt::format("{}{}[{}].", place_, key, i), error_);
            if (!error_) read_one(reader);
        }
    }
    Reader object(const char* key) {
        static const json kNothing = json::object();
        const json* value = find(key);
        return {value != nullptr ? *value : kNothing, place_ + key + ".", error_};
    }
    void fail(const char* key, std::string_view expected) {
        if (!error_) error_ = bad_input("{}{}: expected {}", place_, key, expected);
    }

  private:
    const json* find(const char* key) {
        if (error_) return nullptr;
        const auto found = object_.find(key);
        if (found != object_.end()) return &*found;
        fail(key, "a value, found none");
        return nullptr;
    }
    const json& object_;
    std::string place_;
    std::optional<Error>& error_;
};

tensor::DType read_dtype(Reader& reader, const char* key) {
    const std::string name = reader.text(key);
    const auto dtype = tensor::dtype_from_name(name);
    if (!dtype) reader.fail(key, "the name of a weight format");
    return dtype.value_or(tensor::DType::kF32);
}

void read_readings(Reader& reader, Profile& profile) {
    reader.list("caches", [&](Reader& r) {
        profile.caches.push_back({.level = r.count("level"), .size_bytes = r.positive("size_bytes"), .shared = r.flag("shared")});
    });
    reader.list("bandwidth", [&](Reader& r) {
        profile.bandwidth.push_back({.n_threads = r.count("n_threads"),
                                     .working_set_bytes = r.positive("working_set_bytes"),
                                     .bytes_per_s = r.positive("bytes_per_s"),
                                     .best_bytes_per_s = r.positive("best_bytes_per_s"),
                                     .spread = r.number("spread")});
    });
    reader.list("matrices", [&](Reader& r) {
        profile.matrices.push_back({.weights = read_dtype(r, "weights"),
                                    .activations = r.text("activations"),
                                    .n_columns = r.count("n_columns"),
                                    .from_memory = r.flag("from_memory"),
                                    .seconds_per_weight = r.positive("seconds_per_weight"),
                                    .spread = r.number("spread")});
    });
    reader.list("tiles",
                [&](Reader& r) { profile.tiles.push_back({.weights = read_dtype(r, "weights"), .min_columns = r.count("min_columns")}); });
    reader.list("rows", [&](Reader& r) {
        profile.rows.push_back({.kind = r.text("kind"),
                                .seconds_per_row = r.number("seconds_per_row"),
                                .seconds_per_element = r.number("seconds_per_element")});
    });
    reader.list("attention", [&](Reader& r) {
        profile.attention.push_back({.kv_type = r.text("kv_type"),
                                     .n_queries = r.count("n_queries"),
                                     .head_dim = r.count("head_dim"),
                                     .n_positions = r.count("n_positions"),
                                     .from_memory = r.flag("from_memory"),
                                     .seconds = r.positive("seconds"),
                                     .spread = r.number("spread")});
    });
    if (profile.bandwidth.empty()) reader.fail("bandwidth", "at least one reading");
}

// A file's name of a CPU's: letters and digits.
std::string slug(const std::string& name) {
    std::string text;
    for (const char c : name) {
        const bool plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z');
        if (plain) {
            text += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
        } else if (!text.empty() && text.back() != '-') {
            text += '-';
        }
    }
    while (!text.empty() && text.back() == '-') text.pop_back();
    return text.substr(0, 80);
}

}  // namespace

std::string to_json(const Profile& profile) {
    ordered_json root{
        {"rafter_profile", kFormat},
        {"cpu", profile.key.cpu},
        {"n_threads", profile.key.n_threads},
        {"isa", profile.key.isa},
        {"version", profile.key.version},
        {"time", profile.time},
        {"quick", profile.quick},
        {"trusted", profile.trusted},
        {"doubt", profile.doubt},
        {"noise", profile.noise},
        {"memory_bytes", profile.memory_bytes},
        {"peaks",
         {{"float_flop_per_s", profile.float_flop_per_s}, {"int8_flop_per_s", profile.int8_flop_per_s}, {"int8_unit", profile.int8_unit}}},
        {"fixed",
         {{"barrier_seconds", profile.barrier_seconds},
          {"fork_join_seconds", profile.fork_join_seconds},
          {"handover_seconds", profile.handover_seconds},
          {"handover_seconds_per_byte", profile.handover_seconds_per_byte},
          {"stream_bytes_per_s", profile.stream_bytes_per_s}}}};
    for (const char* key : {"caches", "bandwidth", "matrices", "tiles", "rows", "attention"}) root[key] = ordered_json::array();
    for (const ProfileCache& c : profile.caches) {
        root["caches"].push_back({{"level", c.level}, {"size_bytes", c.size_bytes}, {"shared", c.shared}});
    }
    for (const BandwidthReading& r : profile.bandwidth) {
        root["bandwidth"].push_back({{"n_threads", r.n_threads},
                                     {"working_set_bytes", r.working_set_bytes},
                                     {"bytes_per_s", r.bytes_per_s},
                                     {"best_bytes_per_s", r.best_bytes_per_s},
                                     {"spread", r.spread}});
    }
    for (const MatrixReading& r : profile.matrices) {
        root["matrices"].push_back({{"weights", tensor::format_of(r.weights).name},
                                    {"activations", r.activations},
                                    {"n_columns", r.n_columns},
                                    {"from_memory", r.from_memory},
                                    {"seconds_per_weight", r.seconds_per_weight},
                                    {"spread", r.spread}});
    }
    for (const TileReading& r : profile.tiles) {
        root["tiles"].push_back({{"weights", tensor::format_of(r.weights).name}, {"min_columns", r.min_columns}});
    }
    for (const RowReading& r : profile.rows) {
        root["rows"].push_back({{"kind", r.kind}, {"seconds_per_row", r.seconds_per_row}, {"seconds_per_element", r.seconds_per_element}});
    }
    for (const AttentionReading& r : profile.attention) {
        root["attention"].push_back({{"kv_type", r.kv_type},
                                     {"n_queries", r.n_queries},
                                     {"head_dim", r.head_dim},
                                     {"n_positions", r.n_positions},
                                     {"from_memory", r.from_memory},
                                     {"seconds", r.seconds},
                                     {"spread", r.spread}});
    }
    return root.dump(1, ' ', false, json::error_handler_t::replace) + "\n";
}

Result<Profile> profile_from_json(const std::string& text) {
    const json root = json::parse(text, nullptr, false);
    if (!root.is_object() || !root.contains("rafter_profile")) return bad_input("not a profile that `rafter probe` wrote");
    if (root["rafter_profile"] != kFormat) {
        return bad_input("a profile of format {}: expected {}", root["rafter_profile"].dump().substr(0, 20), kFormat);
    }
    std::optional<Error> error;
    Reader reader(root, "", error);
    Profile profile;
    profile.key = {
        .cpu = reader.text("cpu"), .n_threads = reader.count("n_threads"), .isa = reader.text("isa"), .version = reader.text("version")};
    profile.time = static_cast<std::int64_t>(std::min(reader.number("time"), 1e15));
    profile.quick = reader.flag("quick");
    profile.trusted = reader.flag("trusted");
    profile.doubt = reader.text("doubt");
    profile.noise = reader.number("noise");
    profile.memory_bytes = reader.number("memory_bytes");
    Reader peaks = reader.object("peaks");
    profile.float_flop_per_s = peaks.positive("float_flop_per_s");
    profile.int8_flop_per_s = peaks.positive("int8_flop_per_s");
    profile.int8_unit = peaks.text("int8_unit");
    Reader fixed = reader.object("fixed");
    profile.barrier_seconds = fixed.number("barrier_seconds");
    profile.fork_join_seconds = fixed.number("fork_join_seconds");
    profile.handover_seconds = fixed.number("handover_seconds");
    profile.handover_seconds_per_byte = fixed.number("handover_seconds_per_byte");
    profile.stream_bytes_per_s = fixed.positive("stream_bytes_per_s");
    read_readings(reader, profile);
    if (error) return *error;
    return profile;
}

std::filesystem::path profile_path(const std::filesystem::path& cache_folder, const ProfileKey& key) {
    return cache_folder / "profiles" / fmt::format("{}-{}-threads-{}.json", slug(key.cpu), key.n_threads, slug(key.isa));
}

Result<Profile> read_profile(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    if (!file.is_open() || file.bad()) return Error{fmt::format("{}: cannot be read", path.string()), ErrorKind::kIo};
    auto profile = profile_from_json(text);
    if (!profile) return profile.error().within(path.string());
    return profile;
}

Result<void> write_profile(const std::filesystem::path& path, const Profile& profile) {
    std::error_code failed;
    if (path.has_parent_path()) std::filesystem::create_directories(path.parent_path(), failed);
    if (failed) return Error{fmt::format("{}: {}", path.parent_path().string(), failed.message()), ErrorKind::kIo};
    return write_file(path, to_json(profile));
}

}  // namespace rafter::hardware
