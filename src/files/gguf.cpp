// A GGUF file as the rest of the program sees it: opens and maps the parts, has each parsed, and checks that they belong together.
#include "files/gguf.h"

#include <algorithm>
#include <iterator>
#include <numeric>
#include <optional>
#include <utility>

#include "base/os_file.h"
#include "files/gguf_parser.h"
#include "files/split_name.h"

namespace rafter::files {
namespace {

// Keys that the parts of a split file carry. The number counts from 0, in file names from 1.
constexpr std::string_view kSplitNo = "split.no";
constexpr std::string_view kSplitCount = "split.count";
constexpr std::string_view kSplitTensorsCount = "split.tensors.count";

struct Split {
    std::uint64_t no = 0;
    std::uint64_t count = 1;
    std::optional<std::uint64_t> n_tensors;  // of all parts

    bool operator==(const Split&) const = default;
};

Result<Split> split_of(const Metadata& metadata) {
    Split split;
    RAFTER_TRY(const auto count, metadata.find_uint(kSplitCount));
    if (count.value_or(0) <= 1) return split;  // gguf-split writes 0 into a file that it has merged
    split.count = *count;
    RAFTER_TRY(split.no, metadata.get_uint(kSplitNo));
    RAFTER_TRY(split.n_tensors, metadata.find_uint(kSplitTensorsCount));
    if (split.no >= split.count) return bad_input("{}: expected less than {} {}, found {}", kSplitNo, kSplitCount, split.count, split.no);
    return split;
}

std::string part_suffix(const Split& split) { return split_suffix(split.no + 1, split.count) + ".gguf"; }

std::string describe(const Split& split) {
    return fmt::format("part {} of {} with {} tensors in all", split.no + 1, split.count, split.n_tensors.value_or(0));
}

struct MappedPart {
    std::filesystem::path path;
    MappedFile map;
    GgufPart part;
    Split split;
};

Result<MappedPart> open_part(const std::filesystem::path& path) {
    RAFTER_TRY(MappedFile map, MappedFile::open(path));
    auto part = parse_gguf_part(map.bytes());
    if (!part) return part.error().within(path.string());
    const auto split = split_of(part->metadata);
    if (!split) return split.error().within(path.string());
    return MappedPart{path, std::move(map), std::move(part).value(), *split};
}

// The part that `wanted` describes, found by the name of another.
Result<MappedPart> open_sibling(const MappedPart& given, const Split& wanted) {
    const std::string name = given.path.filename().string();
    const std::string suffix = part_suffix(given.split);
    if (!name.ends_with(suffix)) {
        return bad_input("{}: expected a name that ends in {}, as this is part {} of {}; the other parts cannot be found without it",
                         given.path.string(), suffix, given.split.no + 1, given.split.count);
    }
    auto part = open_part(given.path.parent_path() / (name.substr(0, name.size() - suffix.size()) + part_suffix(wanted)));
    if (!part) return part.error().within(fmt::format("{}: part {} of {}", given.path.string(), wanted.no + 1, wanted.count));
    if (part->split != wanted) {
        return bad_input("{}: expected {}, found {}", part->path.string(), describe(wanted), describe(part->split));
    }
    return part;
}

// The file at path and, if it is a part, its siblings, in order.
Result<std::vector<MappedPart>> open_parts(const std::filesystem::path& path) {
    RAFTER_TRY(MappedPart given, open_part(path));
    std::vector<MappedPart> parts;
    for (Split wanted{0, given.split.count, given.split.n_tensors}; wanted.no < wanted.count; ++wanted.no) {
        if (wanted.no == given.split.no) continue;
        RAFTER_TRY(MappedPart sibling, open_sibling(given, wanted));
        parts.push_back(std::move(sibling));
    }
    const auto place = static_cast<std::ptrdiff_t>(given.split.no);
    parts.insert(parts.begin() + place, std::move(given));
    return parts;
}

}  // namespace

struct GgufFile::State {
    std::string name;
    std::vector<MappedFile> maps;  // one a part; none when parsed from bytes
    Metadata metadata;             // of the first part
    std::vector<NamedTensor> tensors;
    std::vector<std::uint32_t> by_name;  // indices into tensors, sorted by name
    std::uint64_t size_bytes = 0;

    Result<void> index_tensors();
    const MappedFile* map_of(std::span<const std::byte> bytes) const;
};

Result<void> GgufFile::State::index_tensors() {
    RAFTER_TRY_VOID(check_unique_names(tensors));
    by_name.resize(tensors.size());
    std::iota(by_name.begin(), by_name.end(), 0u);
    std::sort(by_name.begin(), by_name.end(), [this](auto a, auto b) { return tensors[a].name < tensors[b].name; });
    return {};
}

const MappedFile* GgufFile::State::map_of(std::span<const std::byte> bytes) const {
    for (const MappedFile& map : maps) {
        const std::span<const std::byte> all = map.bytes();
        if (bytes.data() >= all.data() && bytes.data() < all.data() + all.size()) return &map;
    }
    return nullptr;
}

Result<GgufFile> GgufFile::open(const std::filesystem::path& path) {
    RAFTER_TRY(auto parts, open_parts(path));
    auto state = std::make_unique<State>();
    state->name = parts.front().path.string();
    state->metadata = std::move(parts.front().part.metadata);
    for (MappedPart& part : parts) {
        state->size_bytes += part.map.bytes().size();
        std::move(part.part.tensors.begin(), part.part.tensors.end(), std::back_inserter(state->tensors));
        state->maps.push_back(std::move(part.map));
    }
    const std::uint64_t n_tensors = parts.front().split.n_tensors.value_or(state->tensors.size());
    if (n_tensors != state->tensors.size()) {
        return bad_input("{}: expected the {} tensors that {} says, found {} in {} parts", state->name, n_tensors, kSplitTensorsCount,
                         state->tensors.size(), parts.size());
    }
    if (auto indexed = state->index_tensors(); !indexed) return indexed.error().within(state->name);
    return GgufFile(std::move(state));
}

Result<GgufFile> GgufFile::parse(std::span<const std::byte> bytes, std::string_view name) {
    auto part = parse_gguf_part(bytes);
    if (!part) return part.error().within(name);
    const auto split = split_of(part->metadata);
    if (!split) return split.error().within(name);
    if (split->count > 1) return bad_input("{}: expected a whole file, found part {} of {}", name, split->no + 1, split->count);
    auto state = std::make_unique<State>();
    state->name = name;
    state->metadata = std::move(part->metadata);
    state->tensors = std::move(part->tensors);
    state->size_bytes = bytes.size();
    if (auto indexed = state->index_tensors(); !indexed) return indexed.error().within(name);
    return GgufFile(std::move(state));
}

const Metadata& GgufFile::metadata() const { return state_->metadata; }
std::span<const NamedTensor> GgufFile::tensors() const { return state_->tensors; }
const std::string& GgufFile::name() const { return state_->name; }
std::uint64_t GgufFile::size_bytes() const { return state_->size_bytes; }

const NamedTensor* GgufFile::find_tensor(std::string_view name) const {
    const auto& tensors = state_->tensors;
    const auto found = std::lower_bound(state_->by_name.begin(), state_->by_name.end(), name,
                                        [&](std::uint32_t index, std::string_view wanted) { return tensors[index].name < wanted; });
    return found != state_->by_name.end() && tensors[*found].name == name ? &tensors[*found] : nullptr;
}

std::span<const std::byte> GgufFile::rows(const NamedTensor& tensor, std::uint64_t first, std::uint64_t n,
                                          std::span<std::byte> /*scratch*/) const {
    return tensor.bytes.subspan(first * tensor.row_bytes(), n * tensor.row_bytes());
}

void GgufFile::will_need(const NamedTensor& tensor) const {
    if (const MappedFile* map = state_->map_of(tensor.bytes)) map->will_need(tensor.bytes);
}

void GgufFile::release(const NamedTensor& tensor, std::uint64_t first, std::uint64_t n) const {
    const std::span<const std::byte> bytes = rows(tensor, first, n, {});
    if (const MappedFile* map = state_->map_of(bytes)) map->release(bytes);
}

GgufFile::GgufFile(std::unique_ptr<State> state) : state_(std::move(state)) {}
GgufFile::GgufFile(GgufFile&&) noexcept = default;
GgufFile& GgufFile::operator=(GgufFile&&) noexcept = default;
GgufFile::~GgufFile() = default;

}  // namespace rafter::files
