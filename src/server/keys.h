// API keys: who may ask, whose cache is shared with whom.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace rafter::server {

struct ApiKey {
    std::string name;        // for logs and metrics; never the key itself
    std::string cache_salt;  // only keys of the same salt share what is in the prefix cache
};

// A file of keys, one a line: "KEY", "NAME KEY", or "NAME KEY cache=GROUP"; empty lines and those that begin with '#' count for nothing.
// Keys without a group have a salt of their own. Holds digests of keys, not the keys.
class KeyRing {
  public:
    // where: what error messages call it. Fails on a name or a key that stands twice, on a key shorter than 16 characters, and on an empty
    // ring.
    [[nodiscard]] static Result<KeyRing> parse(std::string_view text, std::string_view where);
    // Null: no such key. Takes the same time for every text of the same length.
    [[nodiscard]] const ApiKey* find(std::string_view key) const;
    [[nodiscard]] std::size_t size() const;

  private:
    struct Entry {
        std::string digest;
        ApiKey key;
    };
    std::vector<Entry> entries_;
};

}  // namespace rafter::server
