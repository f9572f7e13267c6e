/** Class names of the data sets that bring none of their own, in the order of their mask values. */

/** PASCAL VOC as the reference names it: table, plant and monitor are what people write in captions. */
export const VOC_REFERENCE =
  'background aeroplane bicycle bird boat bottle bus car cat chair cow table dog horse motorbike person plant sheep sofa train monitor'.split(
    ' ',
  )

/** The same as PASCAL VOC names it. */
export const VOC_ORIGINAL = VOC_REFERENCE.map(
  (name) => ({ table: 'diningtable', plant: 'pottedplant', monitor: 'tvmonitor' })[name] ?? name,
)
