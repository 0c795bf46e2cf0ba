// A prefix tree over bytes, for "which tokens start here". Built once and then only read.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "text/hash.h"

namespace rafter::text {

class Trie {
  public:
    using Node = std::uint32_t;
    static constexpr Node kRoot = 0;

    Trie();
    // An empty text is not taken. A text that is there already gets the new value.
    void insert(std::string_view text, std::int32_t value);
    [[nodiscard]] std::optional<Node> child(Node node, unsigned char byte) const;
    [[nodiscard]] std::optional<std::int32_t> value(Node node) const {
        return values_[node] < 0 ? std::nullopt : std::optional<std::int32_t>(values_[node]);
    }
    [[nodiscard]] bool starts_with(unsigned char byte) const { return root_[byte] != 0; }

  private:
    struct Edge {
        std::uint64_t key = 0;  // parent << 8 | byte, plus 1: 0 is an empty slot
        Node child = 0;
    };
    [[nodiscard]] std::size_t slot_of(std::uint64_t key) const;
    void add_edge(Node parent, unsigned char byte, Node child);

    std::uint64_t seed_ = hash_seed();
    std::array<Node, 256> root_{};      // the root's children; 0: none
    std::vector<Edge> edges_;           // those of all other nodes; a power of two of them, open addressing
    std::vector<std::int32_t> values_;  // by node; -1: none
    std::size_t n_edges_ = 0;
};

}  // namespace rafter::text
