// What a handler holds of a connection. Included by the sources of this folder alone.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "server/http/connection.h"

namespace rafter::server {

// What the handler holds. The two know each other until the answer is sent, the connection is gone, or the handler has let go.
class ConnectionExchange final : public Exchange {
  public:
    ConnectionExchange(std::weak_ptr<Connection> connection, HttpRequest request)
        : connection_(std::move(connection)), request_(std::move(request)) {}
    ~ConnectionExchange() override {
        if (const auto connection = connection_.lock()) connection->exchange_left();
    }
    [[nodiscard]] const HttpRequest& request() const override { return request_; }
    void respond(HttpResponse response) override {
        on_connection([&](Connection& connection) { connection.respond(response); });
    }
    void begin_events(std::vector<Header> headers) override {
        on_connection([&](Connection& connection) { connection.begin_stream(StreamKind::kEvents, headers); });
    }
    void begin_lines(std::vector<Header> headers) override {
        on_connection([&](Connection& connection) { connection.begin_stream(StreamKind::kLines, headers); });
    }
    void send_line(std::string_view line) override {
        on_connection([&](Connection& connection) { connection.send_line(line); });
    }
    void send_comment(std::string_view text) override {
        on_connection([&](Connection& connection) { connection.send_comment(text); });
    }
    void set_heartbeat(std::string_view event, std::string_view data) override {
        on_connection([&](Connection& connection) { connection.set_heartbeat(event, data); });
    }
    void send_event(std::string_view event, std::string_view data) override {
        on_connection([&](Connection& connection) { connection.send_event(event, data); });
    }
    void end_events() override {
        on_connection([](Connection& connection) { connection.end_events(); });
    }
    void on_gone(std::function<void(Gone)> call) override {
        if (gone_) {
            call(*gone_);
        } else if (!connection_.expired()) {
            on_gone_ = std::move(call);
        }
    }
    [[nodiscard]] bool gone() const override { return gone_.has_value(); }

    // For the connection, which is not touched any more. What is returned must be called or destroyed after the last use of this.
    [[nodiscard]] std::function<void(Gone)> detach(std::optional<Gone> gone) noexcept {
        connection_.reset();
        gone_ = gone;
        return std::exchange(on_gone_, nullptr);
    }

  private:
    template <typename Work>
    void on_connection(Work&& work) {
        const auto connection = connection_.lock();
        if (!connection) return;
        try {
            work(*connection);
        } catch (...) {
            connection->fail();
        }
    }

    std::weak_ptr<Connection> connection_;
    HttpRequest request_;
    std::function<void(Gone)> on_gone_;
    std::optional<Gone> gone_;
};

}  // namespace rafter::server
