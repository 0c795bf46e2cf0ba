// MODEL of `rafter plan`: a catalog name, a GGUF file with its real tensors, a folder or config of Hugging Face, or plain dimensions.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>

#include "base/folded_name.h"
#include "base/json_reader.h"
#include "base/quote.h"
#include "base/suggest.h"
#include "files/gguf.h"
#include "files/model_store.h"
#include "files/safetensors.h"
#include "model/catalog.h"
#include "model/hf_config.h"
#include "model/model_file.h"
#include "model/model_json.h"
#include "planning/plan_request.h"

namespace rafter::planning {
namespace {

namespace fs = std::filesystem;

Result<roofline::PlannedModel> from_gguf(const fs::path& path, roofline::BoundOptions options) {
    RAFTER_TRY(const files::GgufFile file, files::GgufFile::open(path));
    RAFTER_TRY(const model::ModelConfig config, model::read_config(file, {}));
    RAFTER_TRY(model::Program program, model::bind(model::build(config), file));
    roofline::PlannedModel planned = roofline::plan_bound(std::move(program), options);
    planned.source = path.string();
    double elements = 0.0;
    double bytes = 0.0;
    for (const files::NamedTensor& tensor : file.tensors()) {
        elements += static_cast<double>(tensor.n_elements());
        bytes += static_cast<double>(tensor.size_bytes());
    }
    planned.weight_type = fmt::format("as in the file, {:.2f} bits on average", elements > 0 ? bytes * 8 / elements : 0.0);
    return planned;
}

// What the weights of a folder take in their files, by kind.
Result<void> count_safetensors(const fs::path& folder, model::DescribedModel& described) {
    RAFTER_TRY(const auto tensors, files::read_safetensors_folder(folder));
    if (tensors.empty()) return {};
    double all = 0.0;
    double experts = 0.0;
    for (const files::SafetensorsTensor& tensor : tensors) {
        all += static_cast<double>(tensor.size_bytes);
        const bool of_expert = tensor.name.find(".experts.") != std::string::npos;
        if (of_expert) experts += static_cast<double>(tensor.size_bytes);
    }
    const roofline::PricedList& list = roofline::plan_described(described).fused;
    const double n_experts = roofline::expert_weight_bytes(list, {.weight_bits = 8, .expert_bits = 8});
    const double n_rest = roofline::parameters(list) - n_experts;
    described.quantization.reset();  // the files say it exactly
    if (n_rest > 0) described.weight_bits = (all - experts) * 8 / n_rest;
    if (n_experts > 0 && experts > 0) described.expert_bits = experts * 8 / n_experts;
    described.weight_type = fmt::format("as in the files, {:.2f} bits on average", all * 8 / (n_experts + n_rest));
    return {};
}

Result<roofline::PlannedModel> from_json(const nlohmann::json& json, const std::string& name, const fs::path& folder,
                                         const std::string& assume) {
    const bool is_config =
        json.is_object() && (json.contains("model_type") || json.contains("hidden_size") || json.contains("text_config") ||
                             json.contains("architectures") || json.contains("num_hidden_layers") || json.contains("n_embd"));
    if (!is_config) {
        RAFTER_TRY(const model::DescribedModel described, model::read_model_json(json, name));
        return roofline::plan_described(described);
    }
    RAFTER_TRY(model::DescribedModel described, model::read_hf_config(json, name, {.assume = assume}));
    if (!folder.empty()) RAFTER_TRY_VOID(count_safetensors(folder, described));
    return roofline::plan_described(described);
}

// Where a folder keeps its config.json: itself, or the only snapshot of Hugging Face's cache of a repository.
std::optional<fs::path> config_in(const fs::path& folder) {
    std::error_code failed;
    if (fs::exists(folder / "config.json", failed)) return folder / "config.json";
    std::vector<fs::path> found;
    for (fs::directory_iterator it(folder / "snapshots", failed), end; !failed && it != end; it.increment(failed)) {
        std::error_code ignored;
        if (fs::exists(it->path() / "config.json", ignored)) found.push_back(it->path() / "config.json");
    }
    std::ranges::sort(found);
    return found.empty() ? std::nullopt : std::optional(found.back());
}

// What a file's model is called where the file has no name for it: as the file, or as its folder where it is a config.json.
std::string name_of(const fs::path& file) {
    const fs::path folder = file.lexically_normal().parent_path().filename();
    return file.filename() == "config.json" && !folder.empty() ? folder.string() : file.stem().string();
}

Error unknown_model(const std::string& name) {
    std::vector<std::string> begun;
    for (const model::CatalogModel* entry : model::catalog_models_that_begin(name)) begun.push_back(entry->model.name);
    if (!begun.empty()) {
        constexpr std::size_t kMaxNamed = 6;
        const std::size_t n_more = begun.size() - std::min(begun.size(), kMaxNamed);
        begun.resize(begun.size() - n_more);
        return bad_input("{} names no single model: it may be {}{} (rafter plan --list models)", quote(name), fmt::join(begun, ", "),
                         n_more > 0 ? fmt::format(" or one of {} more", n_more) : "");
    }
    std::vector<std::string> known;
    for (const model::CatalogModel& entry : model::catalog()) known.push_back(entry.model.name);
    std::string text = fmt::format("no model {}: no such file or folder, and none of this name in the catalog", quote(name));
    std::vector<std::pair<std::size_t, std::string>> near;
    for (const std::string& candidate : known) near.emplace_back(edit_distance(name, candidate), candidate);
    std::ranges::stable_sort(near, {}, &std::pair<std::size_t, std::string>::first);
    std::vector<std::string> nearest;
    for (const auto& [distance, candidate] : near) {
        if (nearest.size() < 3 && distance < candidate.size()) nearest.push_back(candidate);
    }
    if (!nearest.empty()) text += fmt::format("; nearest: {}", fmt::join(nearest, ", "));
    return bad_input("{} (rafter plan --list models)", text);
}

}  // namespace

Result<roofline::PlannedModel> find_planned_model(const std::string& name, std::span<const fs::path> models_folders,
                                                  roofline::BoundOptions options, const std::string& assume) {
    std::error_code failed;
    if (fs::is_directory(name, failed)) {
        if (const auto config = config_in(name)) {
            RAFTER_TRY(const nlohmann::json json, read_json_file(config->string()));
            RAFTER_TRY(roofline::PlannedModel planned, from_json(json, config->string(), config->parent_path(), assume));
            planned.name = fs::path(name).lexically_normal().filename().string();
            return planned;
        }
    } else if (fs::exists(name, failed) && fs::path(name).extension() == ".json") {
        RAFTER_TRY(const nlohmann::json json, read_json_file(name));
        RAFTER_TRY(roofline::PlannedModel planned, from_json(json, name, {}, assume));
        if (planned.name == name) planned.name = name_of(name);
        return planned;
    }
    const auto path = files::find_model(name, models_folders);
    if (!fs::exists(name, failed)) {
        // A stored file has its own numbers: the catalog's row goes before it only where the name is the row's and the device another one.
        const model::CatalogModel* entry = model::find_in_catalog(name);
        const bool is_row = entry != nullptr && folded_name(entry->model.name) == folded_name(name) && !options.engine_ops;
        if (entry != nullptr && (is_row || !path)) return roofline::plan_described(entry->model);
    }
    if (path) return from_gguf(*path, options);
    return fs::exists(name, failed) ? path.error() : unknown_model(name);
}

}  // namespace rafter::planning
