// Keys as digests: what a key is cannot be read from this process's memory or its dumps, and digests are of one length to compare.
#include "server/keys.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/sha.h>

#include <algorithm>

namespace rafter::server {
namespace {

constexpr std::size_t kMinKeyChars = 16;
constexpr std::string_view kBlanks = " \t\r";

std::string digest_of(std::string_view text) {
    std::string digest(SHA256_DIGEST_LENGTH, '\0');
    const int done = EVP_Digest(text.data(), text.size(), reinterpret_cast<unsigned char*>(digest.data()), nullptr, EVP_sha256(), nullptr);
    RAFTER_CHECK(done == 1, "SHA-256 is missing from the cryptographic library");
    return digest;
}

std::vector<std::string_view> words_of(std::string_view line) {
    std::vector<std::string_view> words;
    while (true) {
        line.remove_prefix(std::min(line.find_first_not_of(kBlanks), line.size()));
        if (line.empty()) return words;
        const std::size_t end = std::min(line.find_first_of(kBlanks), line.size());
        words.push_back(line.substr(0, end));
        line.remove_prefix(end);
    }
}

struct Line {
    std::string name;
    std::string_view key;
    std::string_view group;
};

// number: of the line, from 1. Messages must not repeat a word of the line: any may be a key.
Result<Line> read_line(const std::vector<std::string_view>& words, std::size_t number, std::string_view where) {
    constexpr std::string_view kGroup = "cache=";
    if (words.size() > 3 || (words.size() == 3 && (!words[2].starts_with(kGroup) || words[2].size() == kGroup.size()))) {
        return bad_input("{}:{}: expected \"KEY\", \"NAME KEY\" or \"NAME KEY cache=GROUP\"", where, number);
    }
    Line line;
    line.key = words[words.size() == 1 ? 0 : 1];
    line.name = words.size() == 1 ? fmt::format("key-{}", number) : std::string(words[0]);
    if (words.size() == 3) line.group = words[2].substr(kGroup.size());
    const auto printable = [](char c) { return c > 0x20 && c < 0x7F; };
    if (!std::ranges::all_of(line.key, printable))
        return bad_input("{}:{}: a key with a character that is not printable ASCII", where, number);
    if (line.key.size() < kMinKeyChars) {
        return bad_input("{}:{}: a key of {} characters, expected at least {}", where, number, line.key.size(), kMinKeyChars);
    }
    if (words.size() > 1 && line.name.size() > 64) return bad_input("{}:{}: a name of more than 64 characters", where, number);
    if (!std::ranges::all_of(line.name, printable))
        return bad_input("{}:{}: a name with a character that is not printable ASCII", where, number);
    return line;
}

}  // namespace

Result<KeyRing> KeyRing::parse(std::string_view text, std::string_view where) {
    KeyRing ring;
    for (std::size_t number = 1; !text.empty(); ++number) {
        const std::size_t end = std::min(text.find('\n'), text.size());
        const std::vector<std::string_view> words = words_of(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
        if (words.empty() || words[0].starts_with('#')) continue;
        RAFTER_TRY(Line line, read_line(words, number, where));
        Entry entry{digest_of(line.key), {line.name, {}}};
        for (const Entry& other : ring.entries_) {
            if (other.key.name == line.name) return bad_input("{}:{}: the name {} stands twice", where, number, line.name);
            if (other.digest == entry.digest) return bad_input("{}:{}: the key of {} stands again", where, number, other.key.name);
        }
        // A group cannot be spelled like a key's own salt, and a salt tells nothing of its key.
        entry.key.cache_salt = line.group.empty() ? fmt::format("key:{}", line.name) : fmt::format("group:{}", line.group);
        ring.entries_.push_back(std::move(entry));
    }
    if (ring.entries_.empty()) return bad_input("{}: expected at least one key", where);
    return ring;
}

const ApiKey* KeyRing::find(std::string_view key) const {
    const std::string digest = digest_of(key);
    const ApiKey* found = nullptr;
    for (const Entry& entry : entries_) {  // all of them: when the search ends must not say where the key stands
        if (CRYPTO_memcmp(entry.digest.data(), digest.data(), digest.size()) == 0) found = &entry.key;
    }
    return found;
}

std::size_t KeyRing::size() const { return entries_.size(); }

}  // namespace rafter::server
