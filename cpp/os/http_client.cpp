/// os/http_client.cpp - one easy handle of libcurl a running request; idle ones wait, with their connections, for the next.
#include "os/http_client.hpp"

#include <curl/curl.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <mutex>

namespace dvesp::os {
namespace {

constexpr std::size_t idle_handles_max = 8;
constexpr std::size_t header_bytes_max = std::size_t{64} << 10;
using Clock = std::chrono::steady_clock;

struct CloseHandle {
    void operator()(CURL* handle) const noexcept { curl_easy_cleanup(handle); }
};
using Handle = std::unique_ptr<CURL, CloseHandle>;
struct FreeList {
    void operator()(curl_slist* list) const noexcept { curl_slist_free_all(list); }
};

/// What the callbacks of one request share.
struct Transfer {
    CURL* handle = nullptr;
    const ports::HttpCall* request = nullptr;
    const ports::ByteSink* sink = nullptr;
    const std::atomic<bool>* cancelled = nullptr;
    ports::HttpAnswer answer;
    Result<void> failure;  ///< of a source, the sink or a bound
    std::size_t piece = 0;
    std::uint64_t piece_offset = 0;
    std::size_t header_bytes = 0;
    std::uint64_t moved = 0;
    Clock::time_point moved_at = Clock::now();
    bool is_stalled = false;
};

std::uint64_t piece_bytes(const ports::HttpCall::Piece& piece) noexcept {
    return piece.source != nullptr ? piece.length : piece.bytes.size();
}

/// The request's body, piece by piece.
std::size_t give_body(char* buffer, std::size_t size, std::size_t count, void* context) {
    auto& transfer = *static_cast<Transfer*>(context);
    MutableBytes into(reinterpret_cast<std::uint8_t*>(buffer), size * count);
    std::size_t given = 0;
    while (!into.empty() && transfer.piece < transfer.request->body.size()) {
        const ports::HttpCall::Piece& piece = transfer.request->body[transfer.piece];
        const std::uint64_t left = piece_bytes(piece) - transfer.piece_offset;
        const std::size_t now = static_cast<std::size_t>(std::min<std::uint64_t>(left, into.size()));
        if (piece.source != nullptr) {
            transfer.failure = piece.source->read(piece.offset + transfer.piece_offset, into.first(now));
            if (!transfer.failure.ok()) return CURL_READFUNC_ABORT;
        } else if (now > 0) {
            std::memcpy(into.data(), piece.bytes.data() + transfer.piece_offset, now);
        }
        into = into.subspan(now);
        given += now;
        transfer.piece_offset += now;
        if (now < left) continue;
        ++transfer.piece;
        transfer.piece_offset = 0;
    }
    return given;
}

int rewind_body(void* context, curl_off_t offset, int origin) {
    auto& transfer = *static_cast<Transfer*>(context);
    if (origin != SEEK_SET || offset != 0) return CURL_SEEKFUNC_CANTSEEK;
    transfer.piece = 0;
    transfer.piece_offset = 0;
    return CURL_SEEKFUNC_OK;
}

std::size_t take_header(char* bytes, std::size_t size, std::size_t count, void* context) {
    auto& transfer = *static_cast<Transfer*>(context);
    std::string_view line(bytes, size * count);
    transfer.header_bytes += line.size();
    if (transfer.header_bytes > header_bytes_max) {
        transfer.failure = fail(ErrorCode::corruption, "the answer's headers are impossibly long");
        return 0;
    }
    if (line.starts_with("HTTP/")) transfer.answer.headers.clear();  // those of an interim answer are over
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) return size * count;
    std::string name(line.substr(0, colon));
    std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return c >= 'A' && c <= 'Z' ? c + 32 : c; });
    std::string_view value = line.substr(colon + 1);
    while (!value.empty() && (value.front() == ' ' || value.front() == '\t')) value.remove_prefix(1);
    while (!value.empty() && (value.back() == '\r' || value.back() == '\n' || value.back() == ' ')) value.remove_suffix(1);
    transfer.answer.headers.emplace_back(std::move(name), std::string(value));
    return size * count;
}

std::size_t take_body(char* bytes, std::size_t size, std::size_t count, void* context) {
    auto& transfer = *static_cast<Transfer*>(context);
    const ByteView part(reinterpret_cast<const std::uint8_t*>(bytes), size * count);
    long status = 0;
    curl_easy_getinfo(transfer.handle, CURLINFO_RESPONSE_CODE, &status);
    if (*transfer.sink && status >= 200 && status < 300) {
        transfer.failure = (*transfer.sink)(part);
        return transfer.failure.ok() ? part.size() : 0;
    }
    if (transfer.answer.body.size() + part.size() > transfer.request->answer_bytes_max) {
        transfer.failure = fail(ErrorCode::corruption,
                                "the answer is larger than " + std::to_string(transfer.request->answer_bytes_max) + " bytes");
        return 0;
    }
    transfer.answer.body.insert(transfer.answer.body.end(), part.begin(), part.end());
    return part.size();
}

/// Called about once a second, and when bytes move: ends what was cancelled or stands still.
int watch(void* context, curl_off_t, curl_off_t received, curl_off_t, curl_off_t sent) {
    auto& transfer = *static_cast<Transfer*>(context);
    if (transfer.cancelled->load()) return 1;
    const auto moved = static_cast<std::uint64_t>(received) + static_cast<std::uint64_t>(sent);
    const auto now = Clock::now();
    if (moved != transfer.moved) {
        transfer.moved = moved;
        transfer.moved_at = now;
    }
    transfer.is_stalled = now - transfer.moved_at > std::chrono::milliseconds(transfer.request->stall_ms);
    return transfer.is_stalled ? 1 : 0;
}

class CurlClient final : public ports::HttpClient {
  public:
    Result<ports::HttpAnswer> call(const ports::HttpCall& request, const ports::ByteSink& sink) override {
        if (cancelled_) return closed();
        Handle handle = take_handle();
        if (!handle) return fail(ErrorCode::unavailable, "there is no memory for a request");
        Transfer transfer;
        transfer.handle = handle.get();
        transfer.request = &request;
        transfer.sink = &sink;
        transfer.cancelled = &cancelled_;
        const auto headers = prepare(handle.get(), request, transfer);
        std::array<char, CURL_ERROR_SIZE> reason{};
        curl_easy_setopt(handle.get(), CURLOPT_ERRORBUFFER, reason.data());
        const CURLcode code = curl_easy_perform(handle.get());
        long status = 0;
        curl_easy_getinfo(handle.get(), CURLINFO_RESPONSE_CODE, &status);
        transfer.answer.status = static_cast<int>(status);
        curl_easy_setopt(handle.get(), CURLOPT_ERRORBUFFER, nullptr);
        give_back(std::move(handle));
        if (code == CURLE_OK) return std::move(transfer.answer);
        return reason_of(code, transfer, reason[0] != '\0' ? reason.data() : curl_easy_strerror(code));
    }

    void pause(std::uint64_t duration_ms) override {
        std::unique_lock lock(mutex_);
        cancelled_changed_.wait_for(lock, std::chrono::milliseconds(duration_ms), [this] { return cancelled_.load(); });
    }

    [[nodiscard]] std::uint64_t wall_ms() override {
        const auto now = std::chrono::system_clock::now().time_since_epoch();
        return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(now).count());
    }

    void cancel() noexcept override {
        {
            const std::scoped_lock lock(mutex_);
            cancelled_ = true;
        }
        cancelled_changed_.notify_all();
    }

  private:
    static Error closed() { return fail(ErrorCode::closed, "the store is closed; open it again"); }

    static Error reason_of(CURLcode code, const Transfer& transfer, const std::string& text) {
        if (!transfer.failure.ok()) return transfer.failure.error();
        if (transfer.cancelled->load()) return closed();
        if (transfer.is_stalled || code == CURLE_OPERATION_TIMEDOUT)
            return fail(ErrorCode::timeout, "the service stands still (" + text + ")");
        if (code == CURLE_URL_MALFORMAT || code == CURLE_UNSUPPORTED_PROTOCOL)
            return fail(ErrorCode::invalid_argument, "the address is no http:// or https:// URL (" + text + ")");
        return fail(ErrorCode::unavailable, "the service cannot be reached, or broke off (" + text + ")");
    }

    /// The request's options; the list of headers must outlive the call.
    static std::unique_ptr<curl_slist, FreeList> prepare(CURL* handle, const ports::HttpCall& request, Transfer& transfer) {
        curl_easy_reset(handle);
        curl_easy_setopt(handle, CURLOPT_URL, request.url.c_str());
        curl_easy_setopt(handle, CURLOPT_PROTOCOLS_STR, "http,https");
        curl_easy_setopt(handle, CURLOPT_PROXY, "");
        curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
        curl_easy_setopt(handle, CURLOPT_TCP_NODELAY, 1L);
        curl_easy_setopt(handle, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(request.connect_ms));
        curl_easy_setopt(handle, CURLOPT_MAX_SEND_SPEED_LARGE, static_cast<curl_off_t>(request.bytes_per_second));
        curl_easy_setopt(handle, CURLOPT_BUFFERSIZE, 256L << 10);
        curl_easy_setopt(handle, CURLOPT_UPLOAD_BUFFERSIZE, 1L << 20);
        curl_easy_setopt(handle, CURLOPT_HEADERFUNCTION, take_header);
        curl_easy_setopt(handle, CURLOPT_HEADERDATA, &transfer);
        curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, take_body);
        curl_easy_setopt(handle, CURLOPT_WRITEDATA, &transfer);
        curl_easy_setopt(handle, CURLOPT_NOPROGRESS, 0L);
        curl_easy_setopt(handle, CURLOPT_XFERINFOFUNCTION, watch);
        curl_easy_setopt(handle, CURLOPT_XFERINFODATA, &transfer);
        prepare_body(handle, request, transfer);
        curl_slist* list = curl_slist_append(nullptr, "Expect:");
        for (const auto& [name, value] : request.headers) list = curl_slist_append(list, (name + ": " + value).c_str());
        curl_easy_setopt(handle, CURLOPT_HTTPHEADER, list);
        return std::unique_ptr<curl_slist, FreeList>(list);
    }

    static void prepare_body(CURL* handle, const ports::HttpCall& request, Transfer& transfer) {
        std::uint64_t bytes = 0;
        for (const ports::HttpCall::Piece& piece : request.body) bytes += piece_bytes(piece);
        if (request.method == "HEAD") {
            curl_easy_setopt(handle, CURLOPT_NOBODY, 1L);
        } else if (request.method == "POST") {
            curl_easy_setopt(handle, CURLOPT_POST, 1L);
            curl_easy_setopt(handle, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(bytes));
        } else if (request.method == "PUT") {
            curl_easy_setopt(handle, CURLOPT_UPLOAD, 1L);
            curl_easy_setopt(handle, CURLOPT_INFILESIZE_LARGE, static_cast<curl_off_t>(bytes));
        } else {
            curl_easy_setopt(handle, CURLOPT_CUSTOMREQUEST, request.method.c_str());
        }
        curl_easy_setopt(handle, CURLOPT_READFUNCTION, give_body);
        curl_easy_setopt(handle, CURLOPT_READDATA, &transfer);
        curl_easy_setopt(handle, CURLOPT_SEEKFUNCTION, rewind_body);
        curl_easy_setopt(handle, CURLOPT_SEEKDATA, &transfer);
    }

    Handle take_handle() {
        {
            const std::scoped_lock lock(mutex_);
            if (!idle_.empty()) {
                Handle handle = std::move(idle_.back());
                idle_.pop_back();
                return handle;
            }
        }
        return Handle(curl_easy_init());
    }

    void give_back(Handle handle) {
        const std::scoped_lock lock(mutex_);
        if (idle_.size() < idle_handles_max) idle_.push_back(std::move(handle));
    }

    std::mutex mutex_;  ///< guards idle_, and cancelled_ for those who wait
    std::condition_variable cancelled_changed_;
    std::atomic<bool> cancelled_{false};
    std::vector<Handle> idle_;
};

}  // namespace

std::unique_ptr<ports::HttpClient> make_http_client() {
    static std::once_flag once;
    std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
    return std::make_unique<CurlClient>();
}

}  // namespace dvesp::os
