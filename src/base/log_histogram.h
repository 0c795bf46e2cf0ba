// Counts of positive numbers over many orders of magnitude, in steps of 2%: any number of samples in a fixed room, quantiles within 1%.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>

namespace rafter {

class LogHistogram {
  public:
    void add(double value) {
        if (value != latest_) {  // equal samples tend to come together, and nothing else here takes time
            const double at = value > kMin ? std::log(value / kMin) / kStep : 0.0;
            latest_at_ = static_cast<std::size_t>(std::min(static_cast<double>(counts_.size() - 1), at));
            latest_ = value;
        }
        ++counts_[latest_at_];
        ++n_;
        sum_ += value;
        most_ = std::max(most_, value);
    }
    [[nodiscard]] std::uint64_t n() const { return n_; }
    [[nodiscard]] double mean() const { return n_ == 0 ? 0.0 : sum_ / static_cast<double>(n_); }
    [[nodiscard]] double most() const { return most_; }
    // fraction: 0..1. 0 when there is no sample.
    [[nodiscard]] double quantile(double fraction) const {
        if (n_ == 0) return 0.0;
        auto left = static_cast<std::uint64_t>(fraction * static_cast<double>(n_ - 1));
        std::size_t i = 0;
        while (counts_[i] <= left) left -= counts_[i++];
        return std::min(most_, kMin * std::exp((static_cast<double>(i) + 0.5) * kStep));
    }

  private:
    static constexpr double kMin = 1e-7;
    static constexpr double kStep = 0.02;
    std::array<std::uint64_t, 1500> counts_ = {};  // up to a million seconds
    std::uint64_t n_ = 0;
    double sum_ = 0.0;
    double most_ = 0.0;
    double latest_ = 0.0;  // sample
    std::size_t latest_at_ = 0;
};

}  // namespace rafter
