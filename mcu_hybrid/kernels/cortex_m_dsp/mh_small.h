/* First include of kernels whose loops are assembly: the C around them is compiled for size. It
 * runs once per call, row or window, and makes up half of their code. */
#ifndef MH_SMALL_H
#define MH_SMALL_H

#pragma GCC optimize("Os")

#endif
