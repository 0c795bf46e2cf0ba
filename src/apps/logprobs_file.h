// --token-logprobs: a JSON line for each scored token.
#pragma once

#include <cstdio>
#include <memory>
#include <string>

#include "base/result.h"
#include "engine/measure/divergence.h"

namespace rafter::apps {

// Every write is checked, so that a full disk is noticed when it happens.
class LogprobsFile {
  public:
    // path: "": nothing is written.
    [[nodiscard]] static Result<LogprobsFile> create(const std::string& path);
    // position: of the token in its window.
    [[nodiscard]] Result<void> add(std::size_t window, std::size_t position, engine::TokenId token, double logprob);
    // With the reference's log-probability and the KL divergence of the two distributions at the token before.
    [[nodiscard]] Result<void> add(std::size_t window, std::size_t position, engine::TokenId token, const engine::TokenDivergence& both);
    [[nodiscard]] Result<void> flush();
    [[nodiscard]] Result<void> close();

  private:
    struct Close {
        void operator()(std::FILE* file) const { std::fclose(file); }
    };
    [[nodiscard]] Result<void> write(const std::string& line);
    [[nodiscard]] Error failed() const;

    std::string path_;
    std::unique_ptr<std::FILE, Close> file_;
};

}  // namespace rafter::apps
