// Asking the server: the key, errors in its own words, an answer as it streams.
const kKeyItem = "rafter.key";
let key_in_memory = "";  // where the browser has no session storage

function api_key() {
    try {
        return sessionStorage.getItem(kKeyItem) || "";
    } catch {
        return key_in_memory;
    }
}

function set_api_key(key) {
    key_in_memory = key;
    try {
        if (key) sessionStorage.setItem(kKeyItem, key);
        else sessionStorage.removeItem(kKeyItem);
    } catch {
        // kept in memory
    }
}

class ApiError extends Error {
    constructor(status, message, retry_after_seconds = null) {
        super(message);
        this.status = status;  // 0: no answer at all
        this.retry_after_seconds = retry_after_seconds;
    }
}

function retry_after(response) {
    const value = response.headers.get("retry-after");
    if (value === null) return null;
    const n = /^\d+(\.\d+)?$/.test(value.trim()) ? Number(value) : (Date.parse(value) - Date.now()) / 1000;
    return Number.isFinite(n) ? Math.max(0, Math.min(n, 86400)) : null;
}

async function error_of(response) {
    const text = await response.text().catch(() => "");
    let message = text.slice(0, 2000);
    try {
        const error = JSON.parse(text).error;
        message = typeof error === "string" ? error : String(error.message);
    } catch {
        // not the API's own form
    }
    return new ApiError(response.status, message || response.statusText || "The server gave no reason.", retry_after(response));
}

// options: {body, signal}. Throws ApiError, or the AbortError of the signal.
async function ask_server(path, options = {}) {
    const headers = {};
    if (api_key()) headers.authorization = "Bearer " + api_key();
    if (options.body) headers["content-type"] = "application/json";
    let response;
    try {
        response = await fetch(path, {
            method: options.body ? "POST" : "GET", headers, signal: options.signal, cache: "no-store",
            body: options.body ? JSON.stringify(options.body) : undefined,
        });
    } catch (error) {
        if (error.name === "AbortError") throw error;
        throw new ApiError(0, "The server cannot be reached. It may be stopped or restarting.");
    }
    if (!response.ok) throw await error_of(response);
    return response;
}

// The body of a request for the next message. settings: of store.js; fields that are null are left to the server.
function chat_body(messages, settings, model) {
    const body = { messages: [], stream: true, stream_options: { include_usage: true } };
    if (model) body.model = model;
    if (settings.system) body.messages.push({ role: "system", content: settings.system });
    for (const message of messages) {
        if (message.content) body.messages.push({ role: message.role, content: message.content });
    }
    for (const name of ["temperature", "top_p", "max_tokens", "seed"]) {
        if (settings[name] !== null) body[name] = settings[name];
    }
    return body;
}

// Streams an answer into message: {content, finish, facts}. changed() after each part of it. Throws as ask_server().
async function stream_answer(message, body, signal, changed) {
    const start = performance.now();
    let first = null;
    const response = await ask_server("/v1/chat/completions", { body, signal });
    let complete = false;
    for await (const { data } of read_events(response)) {
        if (data === "[DONE]") {
            complete = true;
            break;
        }
        let chunk;
        try {
            chunk = JSON.parse(data);
        } catch {
            throw new ApiError(0, "The server sent an event that is not JSON.");
        }
        if (chunk.error) throw new ApiError(Number(chunk.error.code) || 500, String(chunk.error.message || "The answer ended with an error."));
        const choice = chunk.choices && chunk.choices[0];
        if (choice && choice.delta && typeof choice.delta.content === "string" && choice.delta.content) {
            first ??= (performance.now() - start) / 1000;
            message.content += choice.delta.content;
        }
        if (choice && choice.finish_reason) message.finish = String(choice.finish_reason);
        if (chunk.usage || chunk.timings) message.facts = answer_facts(chunk.usage || {}, chunk.timings || {}, first, message.facts);
        changed();
    }
    if (!complete && !message.finish) throw new ApiError(0, "The connection ended before the answer was complete.");
}

// What the line under an answer says, as plain numbers that can be stored. first: seconds to the first token as seen here.
function answer_facts(usage, timings, first, known = {}) {
    const facts = { ...known };
    const take = (name, ...values) => {
        const value = values.find((one) => typeof one === "number" && Number.isFinite(one));
        if (value !== undefined) facts[name] = value;
    };
    const details = usage.prompt_tokens_details || {};
    take("tokens", timings.generated_tokens, usage.completion_tokens);
    take("prompt_tokens", timings.prompt_tokens, usage.prompt_tokens);
    take("cached_tokens", timings.cached_tokens, details.cached_tokens);
    take("tokens_per_second", timings.decode_tokens_per_second);
    take("first_token_seconds", timings.first_token_seconds, first);
    take("predicted_first_token_seconds", timings.predicted_first_token_seconds);
    take("roof_fraction", timings.roof_fraction);
    take("accepted_draft_tokens", timings.accepted_draft_tokens);
    take("draft_tokens", timings.draft_tokens);
    take("queue_seconds", timings.queue_seconds);
    if (typeof timings.bound === "string") facts.bound = timings.bound.slice(0, 20);
    return facts;
}
