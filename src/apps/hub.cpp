// Names come from a server: none is used as a path before it is checked.
#include "apps/hub.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <map>
#include <nlohmann/json.hpp>

#include "base/folded_name.h"
#include "base/json_reader.h"
#include "base/quote.h"
#include "files/split_name.h"

namespace rafter::apps {
namespace {

constexpr std::string_view kDefaultQuant = "q4_k_m";
constexpr std::size_t kShaDigits = 64;

bool is_name(std::string_view text) {
    const auto fits = [](unsigned char c) { return std::isalnum(c) != 0 || c == '-' || c == '_' || c == '.'; };
    return !text.empty() && text != "." && text != ".." && std::ranges::all_of(text, fits);
}

// A path that stays in the repository, and whose last part is fit to be a file's name here.
bool is_safe_path(std::string_view path) {
    if (path.empty() || path.front() == '/') return false;
    if (std::ranges::any_of(path, [](unsigned char c) { return c < 0x20 || c == 0x7F || c == '\\'; })) return false;
    while (!path.empty()) {
        const std::size_t end = std::min(path.find('/'), path.size());
        const std::string_view part = path.substr(0, end);
        if (part.empty() || part == "." || part == "..") return false;
        path.remove_prefix(std::min(end + 1, path.size()));
        if (path.empty() && part.front() == '.') return false;  // hidden: not a model's name
    }
    return true;
}

// Which part of how many a path names; a whole model is its only one.
files::SplitName part_of(const std::string& path) {
    const auto part = files::parse_split_name(path);
    return part ? *part : files::SplitName{.model = path.substr(0, path.size() - std::string_view(".gguf").size())};
}

// Vision towers and the importance matrices of quantisers are no models.
bool is_model(const std::string& path) {
    const std::string name = lower_case(path.substr(path.rfind('/') + 1));
    return name.ends_with(".gguf") && name.find("mmproj") == std::string::npos && name.find("imatrix") == std::string::npos;
}

// What a checkpoint folder consists of. Only files beside config.json: sub-folders hold other models or other formats of the same.
bool is_of_checkpoint(const std::string& path) {
    constexpr std::array<std::string_view, 9> kNames = {"config.json",           "generation_config.json",       "tokenizer.json",
                                                        "tokenizer_config.json", "special_tokens_map.json",      "chat_template.jinja",
                                                        "chat_template.json",    "model.safetensors.index.json", "README.md"};
    if (std::ranges::find(kNames, path) != kNames.end()) return true;
    const bool is_weights = path.find('/') == std::string::npos && path.ends_with(".safetensors");
    return is_weights && !path.starts_with("consolidated") && !path.starts_with("adapter");
}

// Whether a model's path has the quantisation as a word: "Q4_K" is none of "model-Q4_K_M.gguf".
bool has_quant(const std::string& path, const std::string& quant) {
    const std::string text = lower_case(path.substr(0, path.size() - std::string_view(".gguf").size()));
    const auto is_inside = [](unsigned char c) { return std::isalnum(c) != 0 || c == '_'; };
    for (std::size_t at = text.find(quant); at != std::string::npos; at = text.find(quant, at + 1)) {
        const std::size_t end = at + quant.size();
        const bool begins = at == 0 || std::isalnum(static_cast<unsigned char>(text[at - 1])) == 0;
        if (begins && (end == text.size() || !is_inside(static_cast<unsigned char>(text[end])))) return true;
    }
    return false;
}

std::string listed(const std::vector<std::string>& names) {
    std::string text;
    for (const std::string& name : names) text += "\n  " + name;
    return text;
}

}  // namespace

std::optional<Result<HubName>> parse_hub_name(std::string_view text) {
    for (const std::string_view prefix : {"https://", "hf.co/", "huggingface.co/"}) {
        if (text.starts_with(prefix)) text.remove_prefix(prefix.size());
    }
    const std::size_t slash = text.find('/');
    if (slash == std::string_view::npos) return std::nullopt;
    HubName name{.user = std::string(text.substr(0, slash)), .repo = std::string(text.substr(slash + 1)), .quant = {}};
    if (const std::size_t colon = name.repo.find(':'); colon != std::string::npos) {
        name.quant = name.repo.substr(colon + 1);
        name.repo.resize(colon);
        if (name.quant.empty()) return bad_input("{}: expected a quantisation after the colon, such as Q4_K_M", quote(text));
    }
    if (!is_name(name.user) || !is_name(name.repo)) {
        return bad_input("{}: expected USER/REPO or USER/REPO:QUANT, each of letters, digits, hyphens, underscores and periods",
                         quote(text));
    }
    return name;
}

Result<std::vector<HubFile>> hub_files(std::string_view json, const HubName& name) {
    RAFTER_TRY(const nlohmann::json value, parse_json(json, name.repository()));
    const auto siblings = value.is_object() ? value.find("siblings") : value.end();
    if (!value.is_object() || siblings == value.end() || !siblings->is_array()) {
        return bad_input("{}: expected a list of files (\"siblings\") from the endpoint, found {}", name.repository(), shown_json(value));
    }
    std::vector<HubFile> files;
    for (const nlohmann::json& sibling : *siblings) {
        RAFTER_TRY(const JsonReader reader, JsonReader::open(sibling, name.repository() + ": siblings"));
        RAFTER_TRY(auto path, reader.find_string("rfilename"));
        if (!path || (!is_model(*path) && !is_of_checkpoint(*path))) continue;
        if (!is_safe_path(*path)) return bad_input("{}: refused a file whose path is not safe: {}", name.repository(), quote(*path));
        HubFile file{.path = *std::move(path), .size_bytes = std::nullopt, .sha256 = {}};
        if (const nlohmann::json* size = reader.find("size"); size != nullptr && size->is_number_unsigned()) {
            file.size_bytes = size->get<std::uint64_t>();
        }
        RAFTER_TRY(const auto lfs, reader.find_object("lfs"));
        if (lfs) {
            RAFTER_TRY(const auto sha256, lfs->find_string("sha256"));
            if (sha256 && sha256->size() == kShaDigits) file.sha256 = lower_case(*sha256);
        }
        files.push_back(std::move(file));
    }
    return files;
}

namespace {

Result<HubModel> choose_checkpoint(const std::vector<HubFile>& files, const HubName& name) {
    HubModel model{.files = {}, .is_checkpoint = true};
    const auto has = [&](auto&& fits) { return std::ranges::any_of(files, fits, &HubFile::path); };
    const bool has_weights = has([](const std::string& path) { return path.ends_with(".safetensors"); });
    if (!has_weights || !has([](const std::string& path) { return path == "config.json"; })) {
        return bad_input("{}: expected a .gguf file, or config.json and .safetensors files, in this repository, found none",
                         name.repository());
    }
    if (!name.quant.empty()) {
        return bad_input("{}: expected a .gguf file for {}, found a checkpoint of safetensors files only; leave {} out to fetch that",
                         name.repository(), quote(name.quant), quote(":" + name.quant));
    }
    model.files = files;
    return model;
}

}  // namespace

Result<HubModel> choose_hub_model(const std::vector<HubFile>& files, const HubName& name) {
    std::map<std::string, std::vector<HubFile>> models;  // by the name without the part
    for (const HubFile& file : files) {
        if (is_model(file.path)) models[part_of(file.path).model + ".gguf"].push_back(file);
    }
    if (models.empty()) return choose_checkpoint(files, name);
    const std::string quant = lower_case(name.quant.empty() ? kDefaultQuant : std::string_view(name.quant));
    std::vector<std::string> all;
    std::vector<std::string> meant;
    for (const auto& [whole, parts] : models) {
        all.push_back(whole);
        const bool is_file = std::ranges::any_of(
            parts, [&](const HubFile& part) { return lower_case(part.path) == quant || lower_case(part.name()) == quant; });
        if (is_file || lower_case(whole) == quant || has_quant(whole, quant)) meant.push_back(whole);
    }
    if (name.quant.empty() && models.size() == 1) meant = all;
    if (meant.size() != 1) {
        const std::string which = name.quant.empty() ? "a quantisation after a colon" : fmt::format("one model for {}", quote(name.quant));
        const std::string found = meant.size() > 1 ? "several" : name.quant.empty() ? "none, and no single Q4_K_M" : "none";
        return bad_input("{}: expected {}, found {}; name one of:{}", name.repository(), which, found, listed(meant.empty() ? all : meant));
    }
    std::vector<HubFile> parts = models[meant.front()];
    std::ranges::sort(parts, {}, [](const HubFile& part) { return part_of(part.path).number; });
    const unsigned n_parts = part_of(parts.front().path).n_parts;
    for (unsigned i = 0; i < std::max<std::size_t>(n_parts, parts.size()); ++i) {
        const files::SplitName part = i < parts.size() ? part_of(parts[i].path) : files::SplitName();
        if (i < parts.size() && part.number == i + 1 && part.n_parts == n_parts) continue;
        return bad_input("{}: {}: expected {} parts, found {}", name.repository(), meant.front(), n_parts, parts.size());
    }
    return HubModel{.files = std::move(parts)};
}

}  // namespace rafter::apps
