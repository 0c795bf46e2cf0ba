// A request on its way through the routes: its connection, who asked, the answer in each of its forms, and what will be logged of it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "server/http/http_server.h"
#include "server/keys.h"
#include "server/observe/request_record.h"

namespace rafter::server {

// What the routes say when something cannot be answered.
struct Refused {
    int status = 400;
    std::string message;
    std::string code = {};  // OpenAI's: "model_not_found"; "": none
    std::vector<Header> headers = {};
};

// On the server's thread. Answered once; when the last pointer goes, `ended` gets the record.
class Call {
  public:
    using Ended = std::function<void(const RequestRecord& record, const HttpRequest& request)>;
    // headers: that every answer to it has.
    Call(std::shared_ptr<Exchange> exchange, std::string id, std::vector<Header> headers, Ended ended);
    ~Call();
    Call(const Call&) = delete;
    Call& operator=(const Call&) = delete;

    [[nodiscard]] const HttpRequest& request() const { return exchange_->request(); }
    [[nodiscard]] const std::string& id() const { return record.id; }
    // For each answer that is still to begin.
    void add_header(std::string name, std::string value) { headers_.push_back({std::move(name), std::move(value)}); }

    void json(const nlohmann::ordered_json& body, int status = 200);
    void text(std::string_view content_type, std::string body, int status = 200);
    void empty(int status) { respond({.status = status, .content_type = {}}); }
    void respond(HttpResponse response);
    void refuse(const Refused& refused);
    // Before begin_events(): the event that keeps a silent stream alive, where its API has one.
    void set_heartbeat_of_form() {
        if (error_form == ErrorForm::kAnthropic) exchange_->set_heartbeat("ping", R"({"type":"ping"})");
    }
    // Again: nothing happens. Once it has begun, refuse() sends its error as the last event.
    void begin_events();
    void send_comment(std::string_view text) { exchange_->send_comment(text); }
    void send_event(std::string_view event, std::string_view data) { exchange_->send_event(event, data); }
    void end_events() { exchange_->end_events(); }
    void begin_lines();  // the same
    void send_line(std::string_view line) { exchange_->send_line(line); }

    // Something that its answer needs: goes with it.
    void hold(std::shared_ptr<void> thing) { held_.push_back(std::move(thing)); }

    void on_gone(std::function<void(Gone)> call) { exchange_->on_gone(std::move(call)); }
    [[nodiscard]] bool gone() const { return exchange_->gone(); }
    [[nodiscard]] double seconds() const;  // since it came

    RequestRecord record;
    std::optional<ApiKey> key;  // none: none is needed
    ErrorForm error_form = ErrorForm::kOpenAi;

  private:
    std::shared_ptr<Exchange> exchange_;
    std::vector<Header> headers_;
    std::vector<std::shared_ptr<void>> held_;
    Ended ended_;
    bool has_events_ = false, has_lines_ = false;  // have begun
    std::int64_t start_ns_;
};

// A refusal's message for the log: without what was found, which is the request's.
[[nodiscard]] std::string logged(std::string_view message);
// request_id: "": it has none yet.
[[nodiscard]] HttpResponse response_of(const Refused& refused, ErrorForm form, std::string_view request_id);
// As JSON text; what is not UTF-8 becomes U+FFFD.
[[nodiscard]] std::string dump(const nlohmann::ordered_json& json);

}  // namespace rafter::server
