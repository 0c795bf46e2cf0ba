// XGrammar's warnings: what it leaves out of a grammar. Here each is a reason to refuse the grammar.
#pragma once

#include <string>

namespace rafter::grammar {

// Collects the warnings of this thread while it lives. At most one a thread at a time.
class WarningCollector {
  public:
    WarningCollector();
    ~WarningCollector();
    WarningCollector(const WarningCollector&) = delete;
    WarningCollector& operator=(const WarningCollector&) = delete;

    [[nodiscard]] bool any() const { return any_; }
    [[nodiscard]] const std::string& first() const { return first_; }  // empty where it found no memory
    void add(const std::string& warning) noexcept;

  private:
    bool any_ = false;
    std::string first_;
};

}  // namespace rafter::grammar
