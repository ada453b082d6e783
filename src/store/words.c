/*
** words.c - the hash. Multiply two words to 128 bits and fold the halves; four
** independent lanes keep the multiplier busy on long texts.
*/
#include "words.h"

__extension__ typedef unsigned __int128 wide;

#define K0 UINT64_C(0x9e3779b97f4a7c15)
#define K1 UINT64_C(0xd1b54a32d192ed03)
#define K2 UINT64_C(0x8cb92ba72f3d8dd7)
#define K3 UINT64_C(0xaef17502108ef2d9)

static inline uint64_t fold(uint64_t a, uint64_t b) {
  wide product = (wide)a * b;
  return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline uint64_t word_at(const char *bytes) {
  uint64_t word;
  memcpy(&word, bytes, 8);
  return word;
}

static inline uint64_t fold_pair(uint64_t lane, const char *bytes, uint64_t k) {
  return fold(lane ^ word_at(bytes), k ^ word_at(bytes + 8));
}

uint64_t jt_hash(const void *from, size_t length) {
  const char *at = from;
  size_t left = length;
  uint64_t lane = K0 ^ length;
  if (left >= 64) {
    uint64_t a = lane, b = K1, c = K2, d = K3;
    for (; left >= 64; left -= 64, at += 64) {
      a = fold_pair(a, at, K0);
      b = fold_pair(b, at + 16, K1);
      c = fold_pair(c, at + 32, K2);
      d = fold_pair(d, at + 48, K3);
    }
    lane = fold(a ^ K1, b ^ K2) ^ fold(c ^ K3, d ^ K0);
  }
  for (; left >= 16; left -= 16, at += 16)
    lane = fold_pair(lane, at, K1);
  if (left > 0) {
    char tail[16] = { 0 };
    memcpy(tail, at, left);
    lane = fold_pair(lane, tail, K2);
  }
  return fold(lane ^ K3, K1);
}
