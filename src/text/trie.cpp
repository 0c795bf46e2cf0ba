// Edges live in one hash table: a node costs some 40 bytes however many children it has.
#include "text/trie.h"

namespace rafter::text {

Trie::Trie() : edges_(64), values_(1, -1) {}

std::size_t Trie::slot_of(std::uint64_t key) const {
    const std::size_t mask = edges_.size() - 1;
    std::size_t at = hash_word(key, seed_) & mask;
    while (edges_[at].key != 0 && edges_[at].key != key) at = (at + 1) & mask;
    return at;
}

void Trie::add_edge(Node parent, unsigned char byte, Node child) {
    if (parent == kRoot) {
        root_[byte] = child;
        return;
    }
    if ((n_edges_ + 1) * 2 > edges_.size()) {
        std::vector<Edge> old(edges_.size() * 2);
        old.swap(edges_);
        for (const Edge& edge : old) {
            if (edge.key != 0) edges_[slot_of(edge.key)] = edge;
        }
    }
    const std::uint64_t key = (static_cast<std::uint64_t>(parent) << 8 | byte) + 1;
    edges_[slot_of(key)] = {key, child};
    ++n_edges_;
}

std::optional<Trie::Node> Trie::child(Node node, unsigned char byte) const {
    const Node found = node == kRoot ? root_[byte] : edges_[slot_of((static_cast<std::uint64_t>(node) << 8 | byte) + 1)].child;
    return found == 0 ? std::nullopt : std::optional<Node>(found);
}

void Trie::insert(std::string_view text, std::int32_t value) {
    if (text.empty()) return;
    Node node = kRoot;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        std::optional<Node> next = child(node, byte);
        if (!next) {
            next = static_cast<Node>(values_.size());
            values_.push_back(-1);
            add_edge(node, byte, *next);
        }
        node = *next;
    }
    values_[node] = value;
}

}  // namespace rafter::text
