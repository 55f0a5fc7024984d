#include "mh_harness.h"
#include "mh_port.h"

int main(void)
{
    uint8_t bytes[64];
    mh_port_init();
    mh_harness_init();
    for (;;) {
        mh_harness_feed(bytes, mh_port_read(bytes, sizeof bytes));
    }
}
