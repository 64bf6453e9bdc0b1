/// benchmarks/sealing_bench.cpp - what it costs to seal a record for 5 devices, any 3 of which open it, and to open it.
/// A record is a vector (384 or 1536 float32) and 80 bytes of metadata; every fragment has a key of its own, from HKDF. The
/// naive twins do the same with what lies at hand: kernel randomness, a number at a time, EVP objects looked up for each use.
/// SHA-256 of the fragments and the batch's signature come on top, and are measured alone. Goals on one core, 384-d: split and
/// encrypt 6 us, open 3 us.
#include <benchmark/benchmark.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/rand.h>

#include <array>
#include <cstdlib>
#include <string>
#include <vector>

#include "base/sha256.hpp"
#include "crypto/ed25519.hpp"
#include "crypto/field.hpp"
#include "crypto/hkdf.hpp"
#include "crypto/sharing.hpp"
#include "crypto/ssms.hpp"

namespace {

using dvesp::ByteView;
using dvesp::MutableBytes;
using namespace dvesp::crypto;
using Bytes = std::vector<std::uint8_t>;

constexpr std::size_t needed = 3;
constexpr std::size_t share_count = 5;
constexpr std::size_t metadata_bytes = 80;
constexpr std::array<std::uint8_t, nonce_bytes> nonce_zero{};

std::size_t record_bytes(const benchmark::State& state) {
    return static_cast<std::size_t>(state.range(0)) * sizeof(float) + metadata_bytes;
}

void require(bool holds) {
    if (!holds) std::abort();
}

/// One record's fragments and the places where they are made.
struct Record {
    Bytes plain;
    Bytes id = Bytes(36, 'i');
    Bytes salt = Bytes(16, 's');
    Bytes aad = Bytes(48, 'a');
    std::vector<Bytes> shares;
    std::vector<std::array<std::uint8_t, tag_bytes>> tags;

    explicit Record(std::size_t bytes) : plain(bytes, 7), shares(share_count, Bytes(bytes)), tags(share_count) {}
    [[nodiscard]] std::vector<MutableBytes> places() { return {shares.begin(), shares.end()}; }
};

/// The way of the product: objects made once, one HKDF block a key.
struct Sealer {
    HmacKey segment_key{Bytes(32, 1)};
    AesCtrStream coefficients{Key32()};
    Aes256Gcm gcm;

    Key32 key_of(const Record& record, std::uint8_t index) {
        return segment_key.expand32({dvesp::bytes_of("dvesp/frag/1"), record.id, record.salt, {&index, 1}});
    }
    void seal(Record& record, const std::vector<MutableBytes>& places) {
        require(split(record.plain, needed, coefficients, places).ok());
        for (std::uint8_t index = 0; index < share_count; ++index) {
            const Key32 key = key_of(record, index);
            gcm.seal(key, nonce_zero, record.aad, places[index], places[index], record.tags[index]);
        }
    }
};

void seal_record(benchmark::State& state) {
    Record record(record_bytes(state));
    const auto places = record.places();
    Sealer sealer;
    for (auto _ : state) sealer.seal(record, places);
    state.SetItemsProcessed(state.iterations());
}

void open_record(benchmark::State& state) {
    Record record(record_bytes(state));
    Sealer sealer;
    sealer.seal(record, record.places());
    const std::array<std::uint8_t, needed> xs = {2, 3, 5};
    std::vector<Bytes> opened(needed, Bytes(record.plain.size()));
    const std::vector<ByteView> views(opened.begin(), opened.end());
    Bytes plain(record.plain.size());
    for (auto _ : state) {
        for (std::size_t j = 0; j < needed; ++j) {
            const auto index = static_cast<std::uint8_t>(xs[j] - 1);
            const Key32 key = sealer.key_of(record, index);
            require(sealer.gcm.open(key, nonce_zero, record.aad, record.shares[index], record.tags[index], opened[j]).ok());
        }
        require(combine(xs, views, plain).ok());
    }
    require(plain == record.plain);
    state.SetItemsProcessed(state.iterations());
}

// ---- the naive twins ---------------------------------------------------------------------------------

/// A share by Horner's rule, one number at a time.
void naive_split(const Bytes& secret, const Bytes& coefficients, std::vector<Bytes>& shares) {
    for (std::size_t i = 0; i < shares.size(); ++i) {
        const auto x = static_cast<std::uint8_t>(i + 1);
        for (std::size_t b = 0; b < secret.size(); ++b) {
            std::uint8_t value = 0;
            for (std::size_t j = needed - 1; j-- > 0;) {
                value = static_cast<std::uint8_t>(field_product(value, x) ^ coefficients[j * secret.size() + b]);
            }
            shares[i][b] = static_cast<std::uint8_t>(field_product(value, x) ^ secret[b]);
        }
    }
}

Bytes naive_key(const Record& record, std::uint8_t index) {
    Bytes master(32, 1), key(32), info(record.id);
    info.insert(info.end(), record.salt.begin(), record.salt.end());
    info.push_back(index);
    std::string digest = "SHA256";
    EVP_KDF* algorithm = EVP_KDF_fetch(nullptr, "HKDF", nullptr);
    EVP_KDF_CTX* context = EVP_KDF_CTX_new(algorithm);
    const OSSL_PARAM parameters[] = {OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest.data(), digest.size()),
                                     OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, master.data(), master.size()),
                                     OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, info.data(), info.size()),
                                     OSSL_PARAM_construct_end()};
    require(EVP_KDF_derive(context, key.data(), key.size(), parameters) == 1);
    EVP_KDF_CTX_free(context);
    EVP_KDF_free(algorithm);
    return key;
}

void naive_seal(const Record& record, std::size_t index, Bytes& cipher, std::array<std::uint8_t, tag_bytes>& tag) {
    const Bytes key = naive_key(record, static_cast<std::uint8_t>(index));
    EVP_CIPHER_CTX* context = EVP_CIPHER_CTX_new();
    const Bytes& share = record.shares[index];
    int size = 0;
    require(EVP_EncryptInit_ex(context, EVP_aes_256_gcm(), nullptr, key.data(), nonce_zero.data()) == 1);
    require(EVP_EncryptUpdate(context, nullptr, &size, record.aad.data(), static_cast<int>(record.aad.size())) == 1);
    require(EVP_EncryptUpdate(context, cipher.data(), &size, share.data(), static_cast<int>(share.size())) == 1);
    require(EVP_EncryptFinal_ex(context, cipher.data() + size, &size) == 1);
    require(EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, tag_bytes, tag.data()) == 1);
    EVP_CIPHER_CTX_free(context);
}

void seal_record_naively(benchmark::State& state) {
    Record record(record_bytes(state));
    Bytes coefficients((needed - 1) * record.plain.size());
    Bytes cipher(record.plain.size() + tag_bytes);
    for (auto _ : state) {
        require(RAND_bytes(coefficients.data(), static_cast<int>(coefficients.size())) == 1);
        naive_split(record.plain, coefficients, record.shares);
        for (std::size_t index = 0; index < share_count; ++index) naive_seal(record, index, cipher, record.tags[index]);
    }
    state.SetItemsProcessed(state.iterations());
}

// ---- the parts ---------------------------------------------------------------------------------------

void split_on(benchmark::State& state, const SharingKernel& path) {
    Record record(record_bytes(state));
    const auto places = record.places();
    AesCtrStream coefficients{Key32()};
    for (auto _ : state) require(split(record.plain, needed, coefficients, places, path).ok());
    state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(record.plain.size()));
}

void combine_on(benchmark::State& state, const SharingKernel& path) {
    const Record record(record_bytes(state));
    const std::array<std::uint8_t, needed> xs = {2, 3, 5};
    const std::vector<ByteView> views = {record.shares[1], record.shares[2], record.shares[4]};
    Bytes plain(record.plain.size());
    for (auto _ : state) require(combine(xs, views, plain, path).ok());
    state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(record.plain.size()));
}

void derive_key(benchmark::State& state) {
    const Record record(record_bytes(state));
    Sealer sealer;
    for (auto _ : state) benchmark::DoNotOptimize(sealer.key_of(record, 1));
}

void derive_key_naively(benchmark::State& state) {
    const Record record(record_bytes(state));
    for (auto _ : state) benchmark::DoNotOptimize(naive_key(record, 1));
}

void seal_fragment(benchmark::State& state) {
    Record record(record_bytes(state));
    Sealer sealer;
    const Key32 key;
    for (auto _ : state) {
        sealer.gcm.seal(key, nonce_zero, record.aad, record.shares[0], record.shares[0], record.tags[0]);
    }
}

void disperse_record(benchmark::State& state) {
    const Record record(record_bytes(state));
    Sealer sealer;
    std::vector<Bytes> fragments(share_count, Bytes(ssms_fragment_bytes(record.plain.size(), needed)));
    const std::vector<MutableBytes> places(fragments.begin(), fragments.end());
    Key32 key;
    for (auto _ : state) {
        sealer.coefficients.fill(key.bytes());
        require(disperse(sealer.gcm, key, record.aad, record.plain, needed, sealer.coefficients, places).ok());
    }
}

void hash_fragments(benchmark::State& state) {
    const Record record(record_bytes(state));
    dvesp::Sha256 hasher;
    for (auto _ : state) {
        for (const Bytes& share : record.shares) {
            hasher.start();
            hasher.update(share);
            benchmark::DoNotOptimize(hasher.finish());
        }
    }
}

void sign_batch(benchmark::State& state) {
    const Ed25519Key key{Key32()};
    const Bytes root(32);
    for (auto _ : state) benchmark::DoNotOptimize(key.sign(root));
}

BENCHMARK(seal_record)->Arg(384)->Arg(1536);
BENCHMARK(open_record)->Arg(384)->Arg(1536);
BENCHMARK(seal_record_naively)->Arg(384)->Arg(1536);
BENCHMARK(derive_key)->Arg(384);
BENCHMARK(derive_key_naively)->Arg(384);
BENCHMARK(seal_fragment)->Arg(384);
BENCHMARK(disperse_record)->Arg(384);
BENCHMARK(hash_fragments)->Arg(384);
BENCHMARK(sign_batch);

/// The parts that have several paths, on each of them.
const bool registered = [] {
    for (const SharingKernel* path : available_sharing()) {
        const std::string name = path->name;
        benchmark::RegisterBenchmark(("split/" + name).c_str(), split_on, *path)->Arg(384);
        benchmark::RegisterBenchmark(("combine/" + name).c_str(), combine_on, *path)->Arg(384);
    }
    return true;
}();

}  // namespace
