// A GGUF file as the rest of the program sees it: opens and maps the parts, has each parsed, and checks that they belong together.
#include "files/gguf.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "base/os_file.h"
#include "base/quote.h"
#include "files/gguf_parser.h"

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

std::string part_suffix(std::uint64_t no, std::uint64_t count) { return fmt::format("-{:05}-of-{:05}.gguf", no + 1, count); }

Result<std::filesystem::path> part_path(const std::filesystem::path& given, const Split& split, std::uint64_t no) {
    const std::string name = given.filename().string();
    const std::string expected = part_suffix(split.no, split.count);
    if (!name.ends_with(expected)) {
        return bad_input("{}: expected a name that ends in {}, as this is part {} of {}; the other parts cannot be found without it",
                         given.string(), expected, split.no + 1, split.count);
    }
    return given.parent_path() / (name.substr(0, name.size() - expected.size()) + part_suffix(no, split.count));
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
};

Result<void> GgufFile::State::index_tensors() {
    RAFTER_TRY_VOID(check_unique_names(tensors));
    by_name.resize(tensors.size());
    for (std::size_t i = 0; i < by_name.size(); ++i) by_name[i] = static_cast<std::uint32_t>(i);
    std::sort(by_name.begin(), by_name.end(), [this](auto a, auto b) { return tensors[a].name < tensors[b].name; });
    return {};
}

namespace {

struct MappedPart {
    MappedFile map;
    GgufPart part;
    Split split;
};

Result<MappedPart> open_part(const std::filesystem::path& path) {
    RAFTER_TRY(MappedFile map, MappedFile::open(path));
    auto part = parse_gguf_part(map.bytes());
    if (!part) return part.error().within(path.string());
    auto split = split_of(part->metadata);
    if (!split) return split.error().within(path.string());
    return MappedPart{std::move(map), std::move(part).value(), *split};
}

}  // namespace

Result<GgufFile> GgufFile::open(const std::filesystem::path& path) {
    RAFTER_TRY(MappedPart given, open_part(path));
    const Split split = given.split;
    auto state = std::make_unique<State>();
    for (std::uint64_t no = 0; no < split.count; ++no) {
        std::filesystem::path here = path;
        if (split.count > 1) {
            RAFTER_TRY(here, part_path(path, split, no));
        }
        std::optional<MappedPart> next;
        if (no == split.no) {
            next = std::move(given);
        } else {
            auto opened = open_part(here);
            if (!opened) return opened.error().within(fmt::format("{}: part {} of {}", path.string(), no + 1, split.count));
            next = std::move(opened).value();
        }
        if (next->split.no != no || next->split.count != split.count || next->split.n_tensors != split.n_tensors) {
            return bad_input("{}: expected part {} of {} with {} tensors in all, found part {} of {} with {}", here.string(), no + 1,
                             split.count, split.n_tensors.value_or(0), next->split.no + 1, next->split.count,
                             next->split.n_tensors.value_or(0));
        }
        if (no == 0) {
            state->name = here.string();
            state->metadata = std::move(next->part.metadata);
        }
        state->size_bytes += next->map.bytes().size();
        std::move(next->part.tensors.begin(), next->part.tensors.end(), std::back_inserter(state->tensors));
        state->maps.push_back(std::move(next->map));
    }
    if (split.n_tensors.value_or(state->tensors.size()) != state->tensors.size()) {
        return bad_input("{}: expected the {} tensors that {} says, found {} in {} parts", state->name, *split.n_tensors,
                         kSplitTensorsCount, state->tensors.size(), split.count);
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

std::uint64_t NamedTensor::n_elements() const {
    std::uint64_t product = 1;  // the bytes fit in memory, so this cannot wrap
    for (const std::uint64_t dimension : shape) product *= dimension;
    return product;
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

void GgufFile::release(std::span<const std::byte> bytes) const {
    for (const MappedFile& map : state_->maps) {
        const std::span<const std::byte> all = map.bytes();
        if (bytes.data() >= all.data() && bytes.data() < all.data() + all.size()) map.release(bytes);
    }
}

GgufFile::GgufFile(std::unique_ptr<State> state) : state_(std::move(state)) {}
GgufFile::GgufFile(GgufFile&&) noexcept = default;
GgufFile& GgufFile::operator=(GgufFile&&) noexcept = default;
GgufFile::~GgufFile() = default;

}  // namespace rafter::files
