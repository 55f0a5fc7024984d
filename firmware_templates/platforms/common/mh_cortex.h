/* Core registers of Cortex-M that the platforms use. Addresses and bits: Armv7-M Architecture
 * Reference Manual (DDI 0403E), section B3.2 "System Control Space" and C1.8 "DWT". */
#ifndef MH_CORTEX_H
#define MH_CORTEX_H

#include <stdint.h>

#define MH_REG(address) (*(volatile uint32_t *)(uintptr_t)(address))

/* B3.2.2 system control block */
#define SCB_VTOR MH_REG(0xE000ED08u)
#define SCB_AIRCR MH_REG(0xE000ED0Cu)
#define SCB_CCR MH_REG(0xE000ED14u)
#define SCB_SHCSR MH_REG(0xE000ED24u)
#define SCB_CFSR MH_REG(0xE000ED28u)
#define SCB_HFSR MH_REG(0xE000ED2Cu)
#define SCB_MMFAR MH_REG(0xE000ED34u)
#define SCB_BFAR MH_REG(0xE000ED38u)
#define SCB_CPACR MH_REG(0xE000ED88u)
#define AIRCR_VECTKEY (0x05FAu << 16)
#define AIRCR_SYSRESETREQ (1u << 2)
#define CCR_DIV_0_TRP (1u << 4)
#define CCR_DC (1u << 16)
#define CCR_IC (1u << 17)
#define SHCSR_FAULTS_ENABLE (7u << 16) /* MEMFAULTENA, BUSFAULTENA, USGFAULTENA */
#define CFSR_MMARVALID (1u << 7)
#define CFSR_BFARVALID (1u << 15)

/* B3.4 NVIC */
#define NVIC_WORDS 8u
#define NVIC_ICER_WORD(n) MH_REG(0xE000E180u + 4u * (n))
#define NVIC_ICPR_WORD(n) MH_REG(0xE000E280u + 4u * (n))
#define NVIC_ISER(irq) MH_REG(0xE000E100u + 4u * ((uint32_t)(irq) >> 5))
#define NVIC_BIT(irq) (1u << ((uint32_t)(irq)&31u))

/* B3.3 SysTick */
#define SYST_CSR MH_REG(0xE000E010u)

/* B3.5 MPU (PMSAv7) */
#define MPU_TYPE MH_REG(0xE000ED90u)
#define MPU_CTRL MH_REG(0xE000ED94u)
#define MPU_RBAR MH_REG(0xE000ED9Cu)
#define MPU_RASR MH_REG(0xE000EDA0u)
#define MPU_TYPE_DREGION (0xFFu << 8)
#define MPU_CTRL_ENABLE_PRIVDEFENA 5u
#define MPU_RBAR_VALID (1u << 4)
#define MPU_RASR_NO_ACCESS_XN (1u << 28) /* AP = 0 */
#define MPU_RASR_64K ((15u << 1) | 1u)   /* 2^(SIZE + 1) bytes, enabled */
#define MPU_RASR_256 ((7u << 1) | 1u)

/* C1.6.5 DEMCR and C1.8 DWT */
#define DEMCR MH_REG(0xE000EDFCu)
#define DEMCR_TRCENA (1u << 24)
#define DWT_CTRL MH_REG(0xE0001000u)
#define DWT_CYCCNT MH_REG(0xE0001004u)
#define DWT_LAR MH_REG(0xE0001FB0u) /* CoreSight lock of the M7's DWT */
#define DWT_CTRL_CYCCNTENA 1u
#define DWT_LAR_KEY 0xC5ACCE55u

/* B3.2.2 and B2.2.7 (M7: Cortex-M7 TRM, DDI 0489, chapter 4): cache maintenance */
#define SCB_CCSIDR MH_REG(0xE000ED80u)
#define SCB_CSSELR MH_REG(0xE000ED84u)
#define SCB_ICIALLU MH_REG(0xE000EF50u)
#define SCB_DCISW MH_REG(0xE000EF60u)

static inline void mh_dsb_isb(void)
{
    __asm volatile("dsb\n\tisb" ::: "memory");
}

static inline void mh_irq_enable(uint32_t irq)
{
    NVIC_ISER(irq) = NVIC_BIT(irq);
}

static inline void mh_cycles_start(void)
{
    DEMCR |= DEMCR_TRCENA;
    DWT_LAR = DWT_LAR_KEY; /* ignored where there is no lock */
    DWT_CYCCNT = 0u;
    DWT_CTRL |= DWT_CTRL_CYCCNTENA;
}

static inline void mh_system_reset(void)
{
    __asm volatile("dsb" ::: "memory");
    SCB_AIRCR = AIRCR_VECTKEY | AIRCR_SYSRESETREQ;
    __asm volatile("dsb" ::: "memory");
    for (;;) {
    }
}

/* Cortex-M7: invalidate, then switch on both caches (ARM DDI 0489, 4.4 and Arm's AN321 order). */
static inline void mh_caches_on(void)
{
    mh_dsb_isb();
    SCB_ICIALLU = 0u;
    mh_dsb_isb();
    SCB_CCR |= CCR_IC;
    mh_dsb_isb();
    SCB_CSSELR = 0u; /* level 1 data cache */
    __asm volatile("dsb" ::: "memory");
    const uint32_t size = SCB_CCSIDR;
    const uint32_t sets = (size >> 13) & 0x7FFFu; /* NumSets - 1 */
    const uint32_t ways = (size >> 3) & 0x3FFu;   /* Associativity - 1: 3 on the M7 */
    for (uint32_t set = 0u; set <= sets; set++) {
        for (uint32_t way = 0u; way <= ways; way++) {
            SCB_DCISW = (way << 30) | (set << 5); /* 4 ways, 32-byte lines */
        }
    }
    __asm volatile("dsb" ::: "memory");
    SCB_CCR |= CCR_DC;
    mh_dsb_isb();
}

#endif
