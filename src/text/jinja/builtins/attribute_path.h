// "address.city" or 0: the attribute that map, sort, groupby and others look up in each item.
#pragma once

#include <optional>
#include <utility>
#include <vector>

#include "base/result.h"
#include "text/jinja/run/runtime.h"

namespace rafter::text::jinja {

enum class LetterCase { kKept, kIgnored };  // ignored: strings are compared in lower case

class AttributePath {
  public:
    // `attribute` is a string, an integer, or missing or None for the item itself.
    [[nodiscard]] static Result<AttributePath> parse(Runtime& runtime, const Value& attribute, LetterCase letter_case,
                                                     Value otherwise = {});
    [[nodiscard]] Result<Value> get(Runtime& runtime, const Value& item) const;

  private:
    std::vector<Value> parts_;
    Value otherwise_;  // instead of what is undefined; missing: undefined stays
    LetterCase letter_case_ = LetterCase::kKept;
};

}  // namespace rafter::text::jinja
