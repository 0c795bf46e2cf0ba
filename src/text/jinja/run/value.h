// The values that a template computes with: Python's, as far as templates can see them. A Value is 16 bytes: small ones lie inline, the
// rest are objects counted by references. One render owns all its objects through a Heap, which bounds their memory; a render is one
// thread's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

namespace rafter::text::jinja {

// Wide enough for every 64-bit integer of a JSON file and for sums and products of them; beyond it is an error.
__extension__ using Int = __int128;

enum class Type : std::uint8_t {
    kMissing,  // no value at all: an unset variable or argument. Templates never see it.
    kUndefined,
    kNone,
    kBool,
    kInt,
    kFloat,
    kString,
    kList,
    kTuple,
    kDict,
    kDictView,  // what keys(), values() and items() give
    kRange,
    kIterator,  // a generator: can be walked once
    kNamespace,
    kLoop,  // the variable `loop`
    kMacro,
    kFunction,  // range, namespace, ...
    kMethod,    // "a".upper, bound to its text
};

class Heap;

// What all objects begin with; without virtual functions, so that the type stays plain data.
struct Object {
    Type type;
    std::uint32_t n_references = 0;
    std::size_t size_bytes = 0;  // as charged to `heap`
    Heap* heap = nullptr;
    void (*destroy)(Object*) = nullptr;  // deletes the concrete object
};

class Value {
  public:
    Value() = default;
    static Value none() { return Value(Type::kNone); }
    static Value boolean(bool value) {
        Value result(Type::kBool);
        result.payload_.boolean = value;
        return result;
    }
    static Value integer(std::int64_t value) {
        Value result(Type::kInt);
        result.payload_.integer = value;
        return result;
    }
    static Value real(double value) {
        Value result(Type::kFloat);
        result.payload_.real = value;
        return result;
    }
    // Shares the object.
    static Value counted(Object* object) {
        Value result(object->type);
        result.payload_.object = object;
        result.held_ = Held::kCounted;
        ++object->n_references;
        return result;
    }
    // Only points at it: for objects that outlive the render's other values (literals of the template, namespaces, macros).
    static Value borrowed(Object* object) {
        Value result(object->type);
        result.payload_.object = object;
        result.held_ = Held::kBorrowed;
        return result;
    }

    Value(const Value& other) : type_(other.type_), held_(other.held_), payload_(other.payload_) {
        if (held_ == Held::kCounted) ++payload_.object->n_references;
    }
    Value(Value&& other) noexcept : type_(other.type_), held_(other.held_), payload_(other.payload_) {
        other.type_ = Type::kMissing;
        other.held_ = Held::kInline;
    }
    Value& operator=(const Value& other) {
        Value copy(other);
        swap(copy);
        return *this;
    }
    Value& operator=(Value&& other) noexcept {
        Value moved(std::move(other));
        swap(moved);
        return *this;
    }
    ~Value() {
        if (held_ == Held::kCounted && --payload_.object->n_references == 0) payload_.object->destroy(payload_.object);
    }
    void swap(Value& other) noexcept {
        std::swap(type_, other.type_);
        std::swap(held_, other.held_);
        std::swap(payload_, other.payload_);
    }

    // The same value without a share in its object: what the template's own literals hand out, since renders on other threads use them too.
    [[nodiscard]] Value borrow() const { return held_ == Held::kCounted ? borrowed(payload_.object) : *this; }

    [[nodiscard]] Type type() const { return type_; }
    [[nodiscard]] bool is(Type type) const { return type_ == type; }
    [[nodiscard]] bool is_missing() const { return type_ == Type::kMissing; }
    [[nodiscard]] bool is_number() const { return type_ == Type::kBool || type_ == Type::kInt || type_ == Type::kFloat; }
    [[nodiscard]] bool is_integral() const { return type_ == Type::kBool || type_ == Type::kInt; }
    [[nodiscard]] bool is_sequence() const { return type_ == Type::kList || type_ == Type::kTuple; }

    // Each is right only for its own type; nothing checks it.
    [[nodiscard]] bool as_bool() const { return payload_.boolean; }
    [[nodiscard]] Int as_int() const;      // of a boolean too: Python's True is 1
    [[nodiscard]] double as_real() const;  // of any number
    [[nodiscard]] Object* object() const { return payload_.object; }
    template <typename T>
    [[nodiscard]] T& as() const {
        return *static_cast<T*>(payload_.object);
    }
    // Whether both are one object, or equal inline values: Python's `is`.
    [[nodiscard]] bool same(const Value& other) const;

  private:
    explicit Value(Type type) : type_(type) {}

    enum class Held : std::uint8_t { kInline, kCounted, kBorrowed };
    Type type_ = Type::kMissing;
    Held held_ = Held::kInline;
    union {
        bool boolean;
        std::int64_t integer;
        double real;
        Object* object;
    } payload_ = {.integer = 0};
};
static_assert(sizeof(Value) == 16);

// Counts what the objects of one render hold. Outlives them.
class Heap {
  public:
    explicit Heap(std::size_t limit_bytes) : limit_bytes_(limit_bytes) {}
    Heap(const Heap&) = delete;
    Heap& operator=(const Heap&) = delete;

    // T is one of the types of objects.h; payload_bytes is what it holds beyond itself.
    template <typename T>
    T* make(T object, std::size_t payload_bytes) {
        auto* made = new T(std::move(object));
        made->heap = this;
        made->destroy = [](Object* self) {
            self->heap->live_bytes_ -= self->size_bytes;
            delete static_cast<T*>(self);
        };
        made->size_bytes = sizeof(T) + payload_bytes;
        live_bytes_ += made->size_bytes;
        return made;
    }
    // For what lives as long as the render.
    void charge(std::size_t size_bytes) { live_bytes_ += size_bytes; }
    void set_limit(std::size_t limit_bytes) { limit_bytes_ = limit_bytes; }
    [[nodiscard]] std::size_t live_bytes() const { return live_bytes_; }
    // Whether that much more still fits. Objects are made without asking, so growth that can be large must ask first.
    [[nodiscard]] bool has_room_for(std::size_t size_bytes) const {
        return live_bytes_ <= limit_bytes_ && size_bytes <= limit_bytes_ - live_bytes_;
    }

  private:
    std::size_t live_bytes_ = 0;
    std::size_t limit_bytes_;
};

}  // namespace rafter::text::jinja
