// Who waits on the whole server, under its one limit: at the gates of all models, and for models that are being loaded.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <string>

#include "server/admission/refusal.h"

namespace rafter::server {

class WaitingLines {
  public:
    // n more sequences of a key, which has any.
    void add(const std::string& key, std::size_t n) {
        if (n == 0) return;
        by_key_[key] += n;
        n_sequences_ += n;
    }
    // Of work, predicted.
    void add_seconds(double seconds) { seconds_ += seconds; }

    // None: n_new more of the key may wait. Where nobody waits any number may, and a queue that other keys have filled keeps nobody out:
    // each key has its share of the limit.
    [[nodiscard]] std::optional<Refusal> refusal(const std::string& key, std::size_t n_new, std::size_t max_queue) const;

  private:
    std::map<std::string, std::size_t> by_key_;
    std::size_t n_sequences_ = 0;
    double seconds_ = 0.0;
};

}  // namespace rafter::server
