// Answers in each of their forms, and the request's record when the last of them has gone.
#include "server/call.h"

#include "base/clock.h"
#include "protocols/anthropic_error.h"
#include "protocols/ollama_answer.h"
#include "protocols/openai_error.h"

namespace rafter::server {
namespace {

constexpr int kStatusClientGone = 499;  // nginx's number, in logs only

}  // namespace

std::string dump(const nlohmann::ordered_json& json) { return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace); }

std::string logged(std::string_view message) {
    constexpr std::string_view kFound = " found ";
    const std::size_t found = message.find(kFound);
    if (found == std::string_view::npos || found == 0) return std::string(message);
    return std::string(message.substr(0, found - 1));  // without the comma or semicolon before it
}

HttpResponse response_of(const Refused& refused, ErrorForm form, std::string_view request_id) {
    if (form == ErrorForm::kAnthropic) {
        return {.status = refused.status,
                .body = dump(protocols::anthropic_error(refused.status, refused.message, request_id)),
                .headers = refused.headers};
    }
    if (form == ErrorForm::kOllama) {
        return {.status = refused.status, .body = dump(protocols::ollama_error(refused.message)), .headers = refused.headers};
    }
    nlohmann::ordered_json body = protocols::openai_error(refused.status, refused.message);
    if (!refused.code.empty()) body["error"]["code"] = refused.code;
    return {.status = refused.status, .body = dump(body), .headers = refused.headers};
}

Call::Call(std::shared_ptr<Exchange> exchange, std::string id, std::vector<Header> headers, Ended ended)
    : exchange_(std::move(exchange)), headers_(std::move(headers)), ended_(std::move(ended)), start_ns_(monotonic_ns()) {
    record.id = std::move(id);
    record.method = request().method;
    record.path = request().path;
    record.client = request().client;
}

Call::~Call() {
    record.seconds = seconds();
    if (exchange_->gone()) record.status = kStatusClientGone;
    if (ended_) ended_(record, request());
}

double Call::seconds() const { return static_cast<double>(monotonic_ns() - start_ns_) * 1e-9; }

void Call::json(const nlohmann::ordered_json& body, int status) { text("application/json", dump(body), status); }

void Call::text(std::string_view content_type, std::string body, int status) {
    respond({.status = status, .content_type = std::string(content_type), .body = std::move(body)});
}

void Call::respond(HttpResponse response) {
    record.status = response.status;
    response.headers.insert(response.headers.end(), headers_.begin(), headers_.end());
    exchange_->respond(std::move(response));
}

void Call::refuse(const Refused& refused) {
    record.error = logged(refused.message);
    if (has_events_ || has_lines_) {
        const std::string body = response_of(refused, error_form, record.id).body;
        has_lines_ ? send_line(body) : send_event(error_form == ErrorForm::kAnthropic ? "error" : "", body);
        end_events();
        return;
    }
    respond(response_of(refused, error_form, record.id));
}

void Call::begin_events() {
    if (std::exchange(has_events_, true)) return;
    record.status = 200;
    exchange_->begin_events(headers_);
}

void Call::begin_lines() {
    if (std::exchange(has_lines_, true)) return;
    record.status = 200;
    exchange_->begin_lines(headers_);
}

}  // namespace rafter::server
