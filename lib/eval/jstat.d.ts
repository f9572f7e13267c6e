declare module 'jstat' {
  /** The part of jStat that is used here: Student's t distribution with any positive number of degrees of freedom. */
  const jStat: {
    studentt: {
      cdf(x: number, degreesOfFreedom: number): number
      inv(p: number, degreesOfFreedom: number): number
    }
  }
  export default jStat
}
