// Opens the folder's files, translates the config and the tensors, and serves rows.
#include "model/hf/checkpoint.h"

#include <fmt/format.h>

#include <deque>
#include <map>
#include <system_error>

#include "base/json_reader.h"
#include "base/os_file.h"
#include "base/quote.h"
#include "files/safetensors.h"
#include "model/hf/checkpoint_config.h"
#include "model/hf/checkpoint_rows.h"
#include "model/hf/checkpoint_tensors.h"
#include "model/hf/model_card.h"
#include "model/hf/model_name.h"
#include "tensor/formats/formats.h"

namespace rafter::model {
namespace {

namespace fs = std::filesystem;

class Checkpoint final : public files::TensorSource {
  public:
    explicit Checkpoint(const fs::path& folder) : folder_(folder), name_(folder.string()) {}

    Result<void> open() {
        RAFTER_TRY(const nlohmann::json json, read_json_file((folder_ / "config.json").string()));
        RAFTER_TRY(const hf::CheckpointConfig config, hf::read_checkpoint_config(json, (folder_ / "config.json").string()));
        RAFTER_TRY_VOID(check_quantization(json, config.type));
        RAFTER_TRY_VOID(map_files());
        add_keys(config);
        RAFTER_TRY_VOID(add_side_files(json));
        add_model_card();
        if (auto added = add_tensors(config); !added) return added.error().within(name_);
        RAFTER_TRY_VOID(add_name_parts(config.n_experts));
        return {};
    }

    [[nodiscard]] const files::Metadata& metadata() const override { return metadata_; }
    [[nodiscard]] std::span<const files::NamedTensor> tensors() const override { return tensors_; }
    [[nodiscard]] const files::NamedTensor* find_tensor(std::string_view name) const override {
        const auto found = by_name_.find(name);
        return found == by_name_.end() ? nullptr : &tensors_[found->second];
    }
    [[nodiscard]] const std::string& name() const override { return name_; }
    [[nodiscard]] std::uint64_t size_bytes() const override { return size_bytes_; }

    [[nodiscard]] std::span<const std::byte> rows(const files::NamedTensor& tensor, std::uint64_t first, std::uint64_t n,
                                                  std::span<std::byte> scratch) const override {
        const std::uint64_t row_bytes = tensor.row_bytes();
        if (!tensor.bytes.empty()) return tensor.bytes.subspan(first * row_bytes, n * row_bytes);
        const std::span<std::byte> out = scratch.first(n * row_bytes);
        hf::make_rows(recipes_[by_name_.find(tensor.name)->second], first, n, out);
        return out;
    }
    void will_need(const files::NamedTensor& tensor) const override {
        for (const hf::StoredPart& part : recipes_[by_name_.find(tensor.name)->second].parts) {
            if (const MappedFile* map = map_of(part.data)) map->will_need(part.data);
        }
    }
    void release(const files::NamedTensor& tensor, std::uint64_t first, std::uint64_t n) const override {
        const hf::RowRecipe& recipe = recipes_[by_name_.find(tensor.name)->second];
        if (n == 0 || recipe.parts.empty()) return;
        if (recipe.is_plain()) {
            const std::span<const std::byte> bytes = recipe.parts.front().data;
            const std::uint64_t row_bytes = tensor.row_bytes();
            if (const MappedFile* map = map_of(bytes)) map->release(bytes.subspan(first * row_bytes, n * row_bytes));
            return;
        }
        // Rows that are made lie anywhere in their part: pages go when its last rows have been read.
        for (std::uint64_t p = first / recipe.rows_per_part; p <= (first + n - 1) / recipe.rows_per_part; ++p) {
            const std::span<const std::byte> bytes = recipe.parts[p].data;
            if (first + n < (p + 1) * recipe.rows_per_part) continue;
            if (const MappedFile* map = map_of(bytes)) map->release(bytes);
        }
    }

  private:
    [[nodiscard]] const MappedFile* map_of(std::span<const std::byte> bytes) const {
        for (const MappedFile& map : maps_) {
            const std::span<const std::byte> all = map.bytes();
            if (bytes.data() >= all.data() && bytes.data() < all.data() + all.size()) return &map;
        }
        return nullptr;
    }

    Result<void> check_quantization(const nlohmann::json& json, const std::string& type) {
        RAFTER_TRY(const JsonReader config, JsonReader::open(json, (folder_ / "config.json").string()));
        RAFTER_TRY(const auto quantization, config.find_object("quantization_config"));
        if (!quantization) return {};
        RAFTER_TRY(const auto method, quantization->find_string("quant_method"));
        RAFTER_TRY(const auto format, quantization->find_string("format"));
        const bool floats = method == "compressed-tensors" && format == "float-quantized";
        if (method == "fp8" || method == "fbgemm_fp8" || floats || (method == "mxfp4" && type == "gpt_oss")) {
            const nlohmann::json* block = quantization->find("weight_block_size");
            if (block != nullptr && *block != nlohmann::json({128, 128})) {
                return bad_input("{}: weight_block_size: expected [128, 128], found {}", quantization->where(), shown_json(*block));
            }
            return {};
        }
        return bad_input(
            "{}: quant_method: expected fp8, fbgemm_fp8, compressed-tensors of format float-quantized, or gpt_oss in mxfp4, found {}{}",
            quantization->where(), quote(method.value_or("")), format ? " of format " + quote(*format) : "");
    }

    Result<void> map_files() {
        RAFTER_TRY(const std::vector<files::WeightFile> weight_files, files::weight_files(folder_));
        if (weight_files.empty()) return bad_input("{}: expected *.safetensors files in this folder, found none", name_);
        for (const files::WeightFile& file : weight_files) {
            RAFTER_TRY(MappedFile map, MappedFile::open(file.path));
            RAFTER_TRY(auto tensors, files::parse_weight_file(file, map.bytes()));
            size_bytes_ += map.bytes().size();
            for (files::SafetensorsTensor& tensor : tensors) {
                const std::span<const std::byte> data = map.bytes().subspan(tensor.offset_bytes, tensor.size_bytes);
                const std::string tensor_name = tensor.name;
                if (!stored_.try_emplace(tensor_name, hf::StoredTensor{std::move(tensor), data}).second) {
                    return bad_input("{}: {}: expected each tensor in one file, found it in two", file.path.string(), quote(tensor_name));
                }
            }
            maps_.push_back(std::move(map));
        }
        return {};
    }

    std::string_view keep(std::string text) { return texts_.emplace_back(std::move(text)); }

    void add_keys(const hf::CheckpointConfig& config) {
        metadata_.add("general.architecture", keep(config.architecture));
        metadata_.add("general.type", keep("model"));
        fs::path shown = fs::absolute(folder_).lexically_normal();
        if (shown.filename().empty()) shown = shown.parent_path();
        if (shown.parent_path().filename() == "snapshots") shown = shown.parent_path().parent_path();
        std::string title = shown.filename().string();
        if (title.starts_with("models--")) title = title.substr(title.rfind("--") + 2);
        metadata_.add("general.name", keep(title));
        for (const auto& [key, value] : config.counts) metadata_.add(config.architecture + "." + key, value);
        for (const auto& [key, value] : config.numbers) metadata_.add(config.architecture + "." + key, value);
        for (const auto& [key, value] : config.texts) metadata_.add(config.architecture + "." + key, keep(value));
    }

    Result<nlohmann::json> json_beside(const char* file) {
        std::error_code failed;
        if (!fs::exists(folder_ / file, failed)) return nlohmann::json::object();
        return read_json_file((folder_ / file).string());
    }

    Result<void> add_text(const char* key, const char* file) {
        std::error_code failed;
        if (!fs::exists(folder_ / file, failed)) return {};
        RAFTER_TRY(std::string text, read_file(folder_ / file));
        metadata_.add(key, keep(std::move(text)));
        return {};
    }

    Result<void> add_side_files(const nlohmann::json& config) {
        RAFTER_TRY_VOID(add_text("tokenizer.huggingface.json", "tokenizer.json"));
        RAFTER_TRY_VOID(add_text("tokenizer.huggingface.config", "tokenizer_config.json"));
        RAFTER_TRY_VOID(add_text("tokenizer.chat_template", "chat_template.jinja"));
        RAFTER_TRY(const nlohmann::json tokenizer, json_beside("tokenizer_config.json"));
        if (tokenizer.is_object() && tokenizer.contains("chat_template")) {
            const nlohmann::json& found = tokenizer["chat_template"];
            if (found.is_string()) metadata_.add("tokenizer.chat_template", keep(found.get<std::string>()));
            for (const nlohmann::json& named : found.is_array() ? found : nlohmann::json::array()) {
                if (named.is_object() && named.value("name", nlohmann::json()) == "default" && named.contains("template") &&
                    named["template"].is_string()) {
                    metadata_.add("tokenizer.chat_template", keep(named["template"].get<std::string>()));
                }
            }
        }
        RAFTER_TRY(const nlohmann::json generation, json_beside("generation_config.json"));
        if (generation.is_object()) add_sampling(generation);
        for (const nlohmann::json* from : {&generation, &config}) add_ids(*from);
        if (config.contains("text_config")) add_ids(config["text_config"]);
        return {};
    }

    // A file that cannot be read is passed over: nothing depends on it.
    void add_model_card() {
        constexpr std::uintmax_t kMaxCardBytes = 4U << 20;
        const fs::path path = folder_ / "README.md";
        std::error_code failed;
        if (!fs::is_regular_file(path, failed) || fs::file_size(path, failed) > kMaxCardBytes || failed) return;
        const auto text = read_file(path);
        if (!text) return;
        const hf::ModelCard card = hf::read_model_card(*text);
        if (card.n_base_models > 0) metadata_.add("general.base_model.count", std::uint64_t{card.n_base_models});
        for (const auto& [key, value] : card.texts) metadata_.add(key, keep(value));
        for (const auto& [key, values] : card.lists) {
            std::vector<std::string_view> views;
            for (const std::string& value : values) views.push_back(keep(value));
            metadata_.add(key, files::MetadataArray(std::move(views)));
        }
    }

    // What the name says, and the size where it says none.
    Result<void> add_name_parts(std::uint32_t n_experts) {
        std::uint64_t n_weights = 0;
        std::uint64_t n_in_experts = 0;
        for (const files::NamedTensor& tensor : tensors_) {
            if (tensor.name.starts_with("rope_")) continue;  // computed
            n_weights += tensor.n_elements();
            if (tensor.name.find("_exps.") != std::string::npos) n_in_experts += tensor.n_elements();
        }
        RAFTER_TRY(const std::string_view title, metadata_.get_string("general.name"));
        const hf::ModelNameParts parts = hf::model_name_parts(title, n_weights);
        for (const auto& [key, value] :
             {std::pair("general.basename", &parts.basename), std::pair("general.finetune", &parts.finetune),
              std::pair("general.version", &parts.version), std::pair("general.size_label", &parts.size_label)}) {
            if (!value->empty()) metadata_.add(key, keep(*value));
        }
        metadata_.add("general.size_label", keep(hf::size_label(n_weights, n_in_experts, n_experts)));
        return {};
    }

    void add_sampling(const nlohmann::json& generation) {
        constexpr const char* kKeys[][2] = {
            {"temperature", "temp"}, {"top_k", "top_k"}, {"top_p", "top_p"}, {"min_p", "min_p"}, {"repetition_penalty", "penalty_repeat"}};
        for (const auto& [theirs, ours] : kKeys) {
            if (!generation.contains(theirs) || !generation[theirs].is_number()) continue;
            const std::string key = fmt::format("general.sampling.{}", ours);
            if (generation[theirs].is_number_integer() && theirs == std::string_view("top_k")) {
                metadata_.add(key, generation[theirs].get<std::int64_t>());
            } else {
                metadata_.add(key, generation[theirs].get<double>());
            }
        }
    }

    void add_ids(const nlohmann::json& from) {
        if (!from.is_object()) return;
        const auto id = [](const nlohmann::json& v) { return v.is_number_unsigned() && v.get<std::uint64_t>() < (1ULL << 31); };
        if (from.contains("bos_token_id") && id(from["bos_token_id"]))
            metadata_.add("tokenizer.ggml.bos_token_id", from["bos_token_id"].get<std::uint64_t>());
        if (!from.contains("eos_token_id")) return;
        std::vector<std::int64_t> ends;
        const nlohmann::json& eos = from["eos_token_id"];
        for (const nlohmann::json& v : eos.is_array() ? eos : nlohmann::json::array({eos})) {
            if (id(v)) ends.push_back(v.get<std::int64_t>());
        }
        if (ends.empty()) return;
        metadata_.add("tokenizer.ggml.eos_token_id", static_cast<std::uint64_t>(ends.front()));
        metadata_.add("tokenizer.huggingface.eos_ids", files::MetadataArray(std::move(ends)));
    }

    Result<void> add_tensors(const hf::CheckpointConfig& config) {
        const hf::FindStored find = [this](const std::string& wanted) -> const hf::StoredTensor* {
            const auto found = stored_.find(wanted);
            if (found == stored_.end()) return nullptr;
            found->second.used = true;
            return &found->second;
        };
        RAFTER_TRY(auto translated, hf::translate_tensors(config, find));
        for (auto& [rope_name, values] : config.rope_tensors) {
            const auto& kept = numbers_.emplace_back(values);
            const auto bytes = std::as_bytes(std::span(kept));
            RAFTER_TRY_VOID(add_tensor({rope_name, tensor::DType::kF32, {values.size()}, bytes}, {}));
        }
        for (hf::TranslatedTensor& t : translated) {
            files::NamedTensor named{t.name, t.recipe.dtype, t.shape, {}};
            if (t.shape.size() == 1) {
                auto& values = numbers_.emplace_back(t.shape[0]);
                hf::make_rows(t.recipe, 0, t.recipe.rows_per_part, std::as_writable_bytes(std::span(values)));
                named.bytes = std::as_bytes(std::span(values));
                t.recipe = {};
            } else if (t.recipe.is_plain()) {
                named.bytes = t.recipe.parts.front().data;
            }
            RAFTER_TRY_VOID(add_tensor(std::move(named), std::move(t.recipe)));
        }
        return add_unused();
    }

    Result<void> add_tensor(files::NamedTensor tensor, hf::RowRecipe recipe) {
        if (!by_name_.try_emplace(tensor.name, tensors_.size()).second)
            return bad_input("{}: expected once, found twice", quote(tensor.name));
        tensors_.push_back(std::move(tensor));
        recipes_.push_back(std::move(recipe));
        return {};
    }

    // Scales of activations and of the cache, computed tables, and the towers of other inputs have no part in the text model.
    Result<void> add_unused() {
        for (const auto& [stored_name, stored] : stored_) {
            const std::string_view n = stored_name;
            bool ignored = stored.used;
            for (const char* end :
                 {".input_scale", ".input_scale_ub", ".activation_scale", ".k_scale", ".v_scale", ".q_scale", "rotary_emb.inv_freq"}) {
                ignored = ignored || n.ends_with(end);
            }
            for (const char* part : {"vision_tower.", "multi_modal_projector.", "vision_model."})
                ignored = ignored || n.find(part) != n.npos;
            if (ignored) continue;
            auto t = hf::untranslated(stored);
            if (!t) return bad_input("{}: expected a tensor of the family, found an unknown one of type {}", quote(n), stored.tensor.dtype);
            files::NamedTensor named{t->name, t->recipe.dtype, t->shape, stored.data};
            RAFTER_TRY_VOID(add_tensor(std::move(named), std::move(t->recipe)));
        }
        return {};
    }

    fs::path folder_;
    std::string name_;
    std::uint64_t size_bytes_ = 0;
    std::vector<MappedFile> maps_;
    std::map<std::string, hf::StoredTensor> stored_;
    files::Metadata metadata_;
    std::deque<std::string> texts_;           // what the metadata views
    std::deque<std::vector<float>> numbers_;  // vectors made at load
    std::vector<files::NamedTensor> tensors_;
    std::vector<hf::RowRecipe> recipes_;  // [n_tensors]
    std::map<std::string, std::size_t, std::less<>> by_name_;
};

}  // namespace

Result<std::unique_ptr<files::TensorSource>> open_checkpoint(const fs::path& folder) {
    auto checkpoint = std::make_unique<Checkpoint>(folder);
    RAFTER_TRY_VOID(checkpoint->open());
    return std::unique_ptr<files::TensorSource>(std::move(checkpoint));
}

}  // namespace rafter::model
