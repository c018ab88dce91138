/* Texts in the file: names of functions, threads and executables, each under an id.
 *
 * In: bytes. Out: slots of kind KIND_TEXT, and the id that other records name the text by.
 */

/* Write a text into as many slots as it takes; the reader joins them by id and part. */
COLD static void write_text(struct waits_header *header, uint32_t id, const char *text, size_t length)
{
    unsigned parts = (unsigned)((length + TEXT_BYTES - 1) / TEXT_BYTES);
    for (unsigned part = 0; part < parts; part++) {
        struct waits_slot *slot = take_slot(header);
        if (slot == NULL)
            return;
        size_t left = length - part * TEXT_BYTES;
        memcpy(slot, text + part * TEXT_BYTES, left < TEXT_BYTES ? left : TEXT_BYTES);
        slot->site = id;
        slot->flags = (uint8_t)part;
        slot->parts = (uint8_t)parts;
        atomic_store_explicit(&slot->kind, KIND_TEXT, memory_order_release);
    }
}

/* The id of the text with this hash; *fresh when it is new and has to be written. 0 when the table is full. */
static uint32_t find_id(_Atomic uint64_t hashes[static SITES], uint64_t hash, bool *fresh)
{
    *fresh = false;
    if (hash == 0)
        hash = 1;
    for (unsigned probe = 0; probe < 64; probe++) {
        unsigned at = (unsigned)(hash + probe) % SITES;
        uint64_t found = atomic_load_explicit(&hashes[at], relaxed);
        if (found == 0 &&
            atomic_compare_exchange_strong_explicit(&hashes[at], &found, hash, relaxed, relaxed)) {
            *fresh = true;
            return first_id + at + 1;
        }
        if (found == hash)
            return first_id + at + 1;
    }
    return 0;
}

static inline uint32_t find_text_id(uint64_t hash, bool *fresh)
{
    return find_id(ours->site_hashes, hash, fresh);
}

static uint32_t find_stack_id(uint64_t hash, bool *fresh)
{
    uint32_t id = find_id(ours->stack_hashes, hash, fresh);
    return id == 0 ? 0 : WAITS_STACK_IDS | id;
}

/* A hash of bytes, eight at a time (the mixing steps of wyhash). It must tell functions apart for the length of a run:
 * two of 10,000 functions collide once in 10^11 runs. */
static uint64_t mix_words(uint64_t a, uint64_t b)
{
    __uint128_t product = (__uint128_t)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline uint64_t read_word(const unsigned char *bytes, size_t length)
{
    uint64_t word = 0;
    memcpy(&word, bytes, length < 8 ? length : 8);
    return word;
}

static uint64_t hash_bytes(const unsigned char *bytes, size_t length, uint64_t seed)
{
    uint64_t hash = seed ^ (length * UINT64_C(0x9E3779B97F4A7C15));
    for (; length >= 16; bytes += 16, length -= 16)
        hash = mix_words(read_word(bytes, 8) ^ UINT64_C(0xA0761D6478BD642F), read_word(bytes + 8, 8) ^ hash);
    uint64_t low = read_word(bytes, length), high = length > 8 ? read_word(bytes + 8, length - 8) : 0;
    return mix_words(mix_words(low ^ UINT64_C(0xA0761D6478BD642F), high ^ hash), UINT64_C(0xE7037ED1A0B428DB));
}
