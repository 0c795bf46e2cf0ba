// The CPU backend itself: it says what it is and loads models.
#include "backend/cpu/cpu_backend.h"

#include <utility>

#include "backend/cpu/cpu_model.h"
#include "backend/cpu/price/step_price.h"
#include "backend/cpu/runnable.h"
#include "base/check.h"
#include "base/os_memory.h"

namespace rafter::backend::cpu {
namespace {

class CpuBackend final : public Backend {
  public:
    CpuBackend(ThreadPool& pool, Isa isa) : pool_(pool), isa_(isa) {}

    [[nodiscard]] std::string description() const override {
        return fmt::format("CPU, {}, {} thread{}", to_string(isa_), pool_.n_threads(), pool_.n_threads() == 1 ? "" : "s");
    }
    [[nodiscard]] std::string_view instruction_set() const override { return to_string(isa_); }
    [[nodiscard]] Result<void> can_run(const model::Program& program) const override { return check_runnable(program); }
    [[nodiscard]] MemoryUse memory_to_load(const model::Program& program, StepLimits limits, const KvCacheOptions& options) const override {
        return cpu::memory_to_load(program, limits, options);
    }
    [[nodiscard]] std::optional<std::uint64_t> memory_available() const override {
        const std::uint64_t bytes = read_memory_state().available_bytes;
        return bytes > 0 ? std::optional(bytes) : std::nullopt;
    }
    [[nodiscard]] roofline::StepPrice price_step(const model::Program& program, const roofline::Step& step,
                                                 const hardware::Profile& machine, const roofline::PriceOptions& options) const override {
        return cpu::price_step(program, step, machine, options);
    }
    [[nodiscard]] Result<std::unique_ptr<DeviceModel>> load(model::Program program, const files::TensorSource& source,
                                                            const LoadOptions& options) override {
        return CpuModel::load(std::move(program), source, options, pool_, isa_);
    }

  private:
    ThreadPool& pool_;
    Isa isa_;
};

}  // namespace

std::unique_ptr<Backend> make_cpu_backend(ThreadPool& pool, Isa isa) {
    RAFTER_CHECK(is_available(isa), "{}", to_string(isa));
    return std::make_unique<CpuBackend>(pool, isa);
}

}  // namespace rafter::backend::cpu
