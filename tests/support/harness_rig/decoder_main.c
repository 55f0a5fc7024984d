/* Feeds mh_decoder from standard input: u32 n, n bytes, again and again. Per case one line:
 * "R type seq payload-hex" or "B error detail" per frame, then "." */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mh_frames.h"

static mh_decoder decoder;

static void report(mh_frame_event event)
{
    if (event == MH_FRAME_BAD) {
        printf("B %u %u\n", decoder.error, decoder.detail);
    } else if (event == MH_FRAME_READY) {
        printf("R %u %u ", decoder.data[0], decoder.data[1]);
        for (uint32_t i = 0; i < decoder.payload_bytes; i++) {
            printf("%02x", decoder.data[MH_HEAD_BYTES + i]);
        }
        printf("\n");
    }
}

static void write_hex(const uint8_t *src, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        printf("%02x", src[i]);
    }
}

int main(int argc, char **argv)
{
    uint32_t n;
    const int echo = argc > 1 && strcmp(argv[1], "encode") == 0;
    while (fread(&n, sizeof n, 1, stdin) == 1) {
        uint8_t *bytes = malloc(n + 1u); /* its exact size, for the sanitizer */
        if (bytes == NULL || fread(bytes, 1, n, stdin) != n) {
            return 2;
        }
        if (echo) { /* type, seq, payload: back as a frame */
            uint8_t *frame = malloc(n + MH_CRC_BYTES);
            memcpy(frame, bytes, n);
            mh_frame_send(frame, (uint16_t)(n - MH_HEAD_BYTES), write_hex);
            printf("\n");
            free(frame);
        } else {
            memset(&decoder, 0, sizeof decoder);
            for (uint32_t i = 0; i < n; i++) {
                report(mh_decoder_push(&decoder, bytes[i]));
            }
        }
        printf(".\n");
        fflush(stdout);
        free(bytes);
    }
    return 0;
}
