// A prompt's last hidden states as one vector: an embedding. Rows come in order of position and are summed in that order in double, so the
// result is the same bits however the prompt was cut into steps and whoever else was in them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "engine/request.h"

namespace rafter::engine {

class HiddenPool {
  public:
    // hidden: [d_model], of the next position that the kind needs: every one for the mean, the last one else.
    void add(OutputKind kind, std::span<const float> hidden) {
        if (kind == OutputKind::kHiddenLast) n_rows_ = 0;
        if (n_rows_ == 0) sum_.assign(hidden.size(), 0.0);
        for (std::size_t i = 0; i < hidden.size(); ++i) sum_[i] += static_cast<double>(hidden[i]);
        ++n_rows_;
    }
    // [d_model]
    [[nodiscard]] std::vector<float> result() const {
        std::vector<float> mean(sum_.size());
        for (std::size_t i = 0; i < mean.size(); ++i) mean[i] = static_cast<float>(sum_[i] / static_cast<double>(n_rows_));
        return mean;
    }

  private:
    std::vector<double> sum_;  // [d_model]
    std::uint32_t n_rows_ = 0;
};

}  // namespace rafter::engine
