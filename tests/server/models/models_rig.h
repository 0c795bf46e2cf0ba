// Models on the test's own thread: what is posted waits until the test runs it, the clock stands until the test moves it, and a load takes
// as long as the test wants. What is loaded is a tiny model of which nothing is asked.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <deque>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "engine/loading/runtime.h"
#include "server/models/models.h"
#include "tests/support/tiny_model.h"

namespace rafter::server::tests {

class FakeHost {
  public:
    [[nodiscard]] ModelsHost host() {
        return {.post = [this](std::function<void()> work) { post(std::move(work)); },
                .after = [this](double seconds, std::function<void()> work) { timers_.emplace(now + seconds, std::move(work)); },
                .seconds = [this] { return now; },
                .available_bytes = [this] { return available_bytes; },
                .http_counters = [] { return HttpCounters(); }};
    }
    void post(std::function<void()> work) {
        const std::lock_guard lock(mutex_);
        posted_.push_back(std::move(work));
        changed_.notify_one();
    }
    // Waits for work that another thread posts, and does it. False: none came, though the test needs some.
    [[nodiscard]] bool run_one() {
        constexpr auto kPatience = std::chrono::minutes(2);
        std::function<void()> work;
        {
            std::unique_lock lock(mutex_);
            if (!changed_.wait_for(lock, kPatience, [this] { return !posted_.empty(); })) return false;
            work = std::move(posted_.front());
            posted_.pop_front();
        }
        work();
        return true;
    }
    void run_until(const std::function<bool()>& condition) {
        while (!condition()) ASSERT_TRUE(run_one()) << "nothing happens any more";
    }
    // The timers that are due, in their order.
    void advance(double seconds) {
        const double end = now + seconds;
        while (!timers_.empty() && timers_.begin()->first <= end) {
            auto timer = timers_.extract(timers_.begin());
            now = timer.key();
            timer.mapped()();
        }
        now = end;
    }
    // As a server does that ends.
    void drop_posted() {
        const std::lock_guard lock(mutex_);
        posted_.clear();
    }
    [[nodiscard]] std::size_t n_timers() const { return timers_.size(); }

    double now = 1000.0;
    std::uint64_t available_bytes = 1'000'000'000'000;

  private:
    std::mutex mutex_;  // for what follows
    std::condition_variable changed_;
    std::deque<std::function<void()>> posted_;
    std::multimap<double, std::function<void()>> timers_;  // of the test's thread
};

// A connection that nobody is at the other end of.
class FakeExchange : public Exchange {
  public:
    [[nodiscard]] const HttpRequest& request() const override { return request_; }
    void respond(HttpResponse response) override { status = response.status, body = response.body; }
    void begin_events(std::vector<Header> /*headers*/) override {}
    void set_heartbeat(std::string_view /*event*/, std::string_view /*data*/) override {}
    void send_event(std::string_view /*event*/, std::string_view /*data*/) override {}
    void send_comment(std::string_view /*text*/) override {}
    void end_events() override {}
    void begin_lines(std::vector<Header> /*headers*/) override {}
    void send_line(std::string_view /*line*/) override {}
    void on_gone(std::function<void(Gone)> call) override {
        if (gone_) {
            call(Gone::kClosed);
        } else {
            on_gone_ = std::move(call);
        }
    }
    [[nodiscard]] bool gone() const override { return gone_; }
    void leave() {
        gone_ = true;
        if (const auto call = std::exchange(on_gone_, {})) call(Gone::kClosed);
    }

    int status = 0;  // 0: no answer
    std::string body;

  private:
    HttpRequest request_;
    bool gone_ = false;
    std::function<void(Gone)> on_gone_;
};

// A model that may be asked for. On the loading thread, but for what a test sets before it asks.
struct FakeOffer {
    std::string name;
    std::uint64_t planned_bytes = 100;
    std::function<Result<void>()> on_plan, on_load;  // before each; empty: nothing
    std::atomic<int> n_plans = 0, n_loads = 0;
    std::atomic<int> n_live = 0;  // in memory, in part or whole
};

// A request, and what has become of it.
struct AskingRequest {
    std::shared_ptr<FakeExchange> exchange = std::make_shared<FakeExchange>();
    std::shared_ptr<Call> call;
    int n_served = 0;

    [[nodiscard]] bool is_over() const { return n_served > 0 || exchange->status != 0 || exchange->gone(); }
};

class ModelsRig : public testing::Test {
  protected:
    static void SetUpTestSuite() {
        folder_ = std::filesystem::path(testing::TempDir()) / fmt::format("rafter-models-{}", getpid());
        std::filesystem::create_directories(folder_);
        const auto bytes = model::tiny_gguf({.matrices = tensor::DType::kQ8_0});
        std::ofstream(folder_ / "tiny.gguf", std::ios::binary)
            .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    }
    static void TearDownTestSuite() { std::filesystem::remove_all(folder_); }

    void start(const std::vector<std::string>& names, ModelsOptions options = {}) {
        workers_ = Workers::start([this](std::function<void()> work) { host_.post(std::move(work)); }).value();
        std::vector<ModelOffer> offers;
        for (const std::string& name : names) {
            offers_[name].name = name;
            offers.push_back(offer(offers_[name]));
        }
        options.tell = [this](std::string_view sentence) { told_ += std::string(sentence) + "\n"; };
        models_ = Models::create(host_.host(), *workers_, std::move(offers), std::move(options)).value();
    }
    void TearDown() override {
        workers_.reset();
        if (models_) models_->close();
        host_.drop_posted();
        asked_.clear();
        models_.reset();
        for (const auto& [name, offer] : offers_) EXPECT_EQ(offer.n_live, 0) << name;
    }

    ModelEntry& entry(const std::string& name) { return *models_->find(name); }
    [[nodiscard]] ModelState state(const std::string& name) { return entry(name).state(); }
    AskingRequest& ask(const std::string& name, const std::string& key = "") {
        asked_.push_back(std::make_unique<AskingRequest>());
        AskingRequest& asked = *asked_.back();
        asked.call = std::make_shared<Call>(asked.exchange, "id", std::vector<Header>(), Call::Ended());
        if (!key.empty()) asked.call->key = ApiKey{.name = key, .cache_salt = {}};
        models_->use(entry(name), asked.call, [&asked](Services&) { ++asked.n_served; });
        return asked;
    }
    // It is served, and goes on.
    AskingRequest& ask_and_wait(const std::string& name) {
        AskingRequest& asked = ask(name);
        host_.run_until([&] { return asked.is_over(); });
        EXPECT_EQ(asked.n_served, 1) << asked.exchange->body;
        return asked;
    }
    void use_once(const std::string& name) {
        ask_and_wait(name).call.reset();
        host_.now += 1.0;
    }
    void wait_for_state(const std::string& name, ModelState wanted) {
        host_.run_until([&] { return state(name) == wanted; });
    }
    FakeOffer& fake(const std::string& name) { return offers_.at(name); }

    FakeHost host_;
    std::unique_ptr<Models> models_;
    std::vector<std::unique_ptr<AskingRequest>> asked_;
    std::string told_;

  private:
    static Result<BroughtModel> bring(FakeOffer& fake) {
        ++fake.n_loads;
        if (fake.on_load) RAFTER_TRY_VOID(fake.on_load());
        RAFTER_TRY(auto served, engine::ServedModel::open(runtime(), "tiny", std::vector{folder_}));
        engine::ServeOptions options;
        options.load.context = 64;
        RAFTER_TRY_VOID(served->load(std::move(options)));
        ++fake.n_live;
        const auto end = [&fake](engine::ServedModel* model) {
            delete model;  // NOLINT(cppcoreguidelines-owning-memory): a shared_ptr's
            --fake.n_live;
        };
        return BroughtModel{
            .served = {served.release(), end}, .file_name = "tiny.gguf", .quantization = {}, .planned_bytes = fake.planned_bytes};
    }
    static ModelOffer offer(FakeOffer& fake) {
        return {.names = {fake.name},
                .answer_format = {},
                .plan = [&fake]() -> Result<PlannedModel> {
                    ++fake.n_plans;
                    if (fake.on_plan) RAFTER_TRY_VOID(fake.on_plan());
                    return PlannedModel{.planned_bytes = fake.planned_bytes, .load = [&fake] { return bring(fake); }};
                },
                .at_start = {}};
    }
    static engine::Runtime& runtime() {
        static engine::Runtime one = engine::Runtime::create({.n_threads = 1, .isa = {}}).value();
        return one;
    }

    inline static std::filesystem::path folder_;
    std::map<std::string, FakeOffer> offers_;
    std::unique_ptr<Workers> workers_;
};

}  // namespace rafter::server::tests
