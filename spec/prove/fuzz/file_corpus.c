/*
** file_corpus.c - what file_fuzz begins with: files that real calls have made, of several
** shapes, with jobs in every state, as a killed process leaves them; and scripts.
**
**   file_corpus FOLDER COUNT
*/
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../../store/region.h"
#include "image.h"

static const struct { uint64_t size, max_jobs; } shapes[] = {
  { 28672, 8 }, { 28672, 1 }, { 32768, 40 }, { 40960, 16 }, { 61440, 100 }, { 26624, 3 },
};

static void work_on(jt_store *store) {
  job_id id = id_of("corpus", (uint32_t)check_below(12));
  static const char text[4096];
  jt_change change = { .fields = (unsigned)check_below(64),
                       .status = (jt_status)check_below(JT_STATUSES),
                       .progress = (double)check_below(11) / 10,
                       .step = { text, check_below(100) },
                       .result = { text, check_below(800) },
                       .error = { text, check_below(90) },
                       .meta = { text, check_below(90) } };
  switch (check_below(8)) {
    case 0: case 1: case 2:
      jt_create_numbered(store, "corpus", 6, (uint32_t)check_below(12));
      break;
    case 3: erase(store, &id); break;
    case 4: cancel_job(store, &id, "corpus"); break;
    case 5: claim_job(store, &id); break;
    default: update(store, &id, &change);
  }
}

static void copy_bytes(FILE *from, FILE *to) {
  char page[4096];
  size_t got;
  while ((got = fread(page, 1, sizeof page, from)) > 0) fwrite(page, 1, got, to);
}

static void write_input(const char *store_path, const char *path) {
  FILE *from = fopen(store_path, "rb"), *to = fopen(path, "wb");
  if (from == NULL || to == NULL) exit(EXIT_FAILURE);
  copy_bytes(from, to);
  unsigned length = (unsigned)(STEP_BYTES * check_below(12));
  for (unsigned i = 0; i < length; i++) fputc((int)check_below(256), to);
  fputc((int)(length & 0xff), to);
  fputc((int)(length >> 8), to);
  if (fclose(to) != 0) exit(EXIT_FAILURE);
  fclose(from);
}

static void make_input(const char *folder, unsigned number) {
  size_t shape = number % (sizeof shapes / sizeof shapes[0]);
  const jt_options options = { .size = shapes[shape].size,
                               .max_jobs = shapes[shape].max_jobs };
  char store_path[256], path[256];
  jt_store *store;
  jt_error error;
  snprintf(store_path, sizeof store_path, "%s/.store.%d", folder, (int)getpid());
  snprintf(path, sizeof path, "%s/%04u", folder, number);
  if (jt_store_open(store_path, &options, &store, &error) != JT_OK) {
    fprintf(stderr, "%s\n", error.message);
    exit(EXIT_FAILURE);
  }
  for (uint64_t i = check_below(60); i > 0; i--) work_on(store);
  write_input(store_path, path);
  jt_store_close(store);
  unlink(store_path);
}

int main(int argc, char **argv) {
  if (argc != 3) return EXIT_FAILURE;
  unsigned count = (unsigned)atoi(argv[2]);
  for (unsigned i = 0; i < count; i++) {
    check_reseed(i);
    make_input(argv[1], i);
  }
  return EXIT_SUCCESS;
}
