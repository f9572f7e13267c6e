// What this instruction set offers.
static const Kernels TABLE = {
    GVX_NAME,         MR,
    NR,               pack_b,
    gemm_packed,      unary,
    binary,           sum,
    sum_of_squares,   max,
    column_sum,       column_max,
    scale,            softmax_rows,
    softmax_columns,  softmax_grad_rows,
    softmax_grad_columns, layer_norm,
    layer_norm_grad,  l2_normalize,
    l2_normalize_grad, attention_scratch,
    attention_head,   attention_head_grad,
    adamw,            transpose,
    multiply_add,
};
